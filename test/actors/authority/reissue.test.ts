import { expect, test } from "bun:test"
import { Effect } from "effect"
import { nkeys } from "nats"
import { newRoots } from "#actors/authority/membership.ts"
import { type RenewRequest, removedText } from "#actors/authority/protocol.ts"
import { reissueAtDoor } from "#actors/authority/reissue.ts"
import {
  type KeyAndPem,
  newRequest,
  newRoot,
  readCertificate,
  sign,
  signWords
} from "#actors/authority/x509.ts"
import { signWithSeed } from "#actors/nats/creds.ts"
import { fakeEngine, TestGateway } from "#test/support/gateway.ts"
import { someKeys, somePorts } from "#test/support/trust.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
const hour = 3_600_000
const day = 24 * hour

const newSeed = () => {
  const user = nkeys.createUser()
  return { seed: new TextDecoder().decode(user.getSeed()), publicKey: user.getPublicKey() }
}

/** A cluster with a worker whose certificate ended a day ago, and the door at which it knocks. */
async function cluster() {
  const roots = await run(newRoots(Date.now()))
  const gateway = await TestGateway.start({}, fakeEngine(), { roots })
  const clusterId = gateway.ledger.read.cluster()?.ID ?? ""
  const nkey = newSeed()
  await gateway.write({
    type: "node.register",
    v: 1,
    node: {
      ID: "n2",
      Spec: { Role: "worker", Availability: "active" },
      Status: { State: "down", Addr: "10.0.0.2" },
      Keys: { ...someKeys, daemon: nkey.publicKey }
    }
  })
  const certificateBy = async (
    root: { certificate: string; key: string },
    nodeId = "n2",
    key?: KeyAndPem
  ) => {
    const own = key ?? (await run(newRequest))
    const pem = await run(
      sign(root, own.pem, {
        subject: `O=${clusterId}, OU=swarm-worker, CN=${nodeId}`,
        dnsNames: [],
        addresses: [],
        notBefore: gateway.now - 3 * day,
        notAfter: gateway.now - day
      })
    )
    return { pem, key: own.key }
  }
  const knock = reissueAtDoor(gateway.ledger, () => gateway.now)
  const expired = await certificateBy(roots.ca)
  const request = async (more: Partial<{ cert: KeyAndPem; key: string; seed: string }> = {}) => {
    const { pem: csr } = await run(newRequest)
    const { cert = expired, key = cert.key, seed = nkey.seed } = more
    return {
      certificate: cert.pem,
      csr,
      signature: signWords(csr, key),
      nkeySignature: signWithSeed(csr, seed)
    } satisfies RenewRequest
  }
  return { gateway, clusterId, roots, knock, request, certificateBy, nkey }
}

const refusalOf = async (effect: Effect.Effect<unknown, { readonly message: string }>) =>
  (await run(Effect.flip(effect))).message

test("CA-10 a node whose certificate has ended is given another one, by its old key", async () => {
  const { roots, knock, request, gateway } = await cluster()
  const membership = await run(knock(await request()))
  expect(membership).toMatchObject({ nodeId: "n2", role: "worker", root: roots.ca.certificate })
  const { notAfter } = await run(readCertificate(membership.certificate, roots.ca.certificate))
  expect(notAfter).toBeGreaterThan(gateway.now)
})

test("CA-03 a renewal needs no token, but a certificate of this cluster", async () => {
  const { knock, request, certificateBy } = await cluster()
  const stranger = await run(newRoot(Date.now()))
  const cert = await certificateBy({ certificate: stranger.pem, key: stranger.key })
  expect(await refusalOf(knock(await request({ cert })))).toContain("another root signed it")
})

test("CA-03 the key and the nkey must be the node's own", async () => {
  const { knock, request } = await cluster()
  const { key } = await run(newRequest)
  for (const forged of [{ key }, { seed: newSeed().seed }]) {
    expect(await refusalOf(knock(await request(forged)))).toBe("this is not signed by node n2")
  }
  const good = await request()
  expect(await refusalOf(knock({ ...good, csr: (await request()).csr }))).toBe(
    "this is not signed by node n2"
  )
})

test("CA-04 a node that was removed cannot renew", async () => {
  const { gateway, knock, request } = await cluster()
  await gateway.write({ type: "node.remove", v: 1, id: "n2", force: true })
  const words = "rpc error: code = PermissionDenied desc = node n2 is not of this cluster"
  expect(await refusalOf(knock(await request()))).toBe(words)
  expect(removedText("n2")).toBe(words)
})

test("a manager's certificate makes no manager of who is one no longer", async () => {
  const { gateway, clusterId, roots, knock, request, nkey } = await cluster()
  const own = await run(newRequest)
  const pem = await run(
    sign(roots.ca, own.pem, {
      subject: `O=${clusterId}, OU=swarm-manager, CN=n2`,
      dnsNames: [],
      addresses: [],
      notBefore: gateway.now - day,
      notAfter: gateway.now + day
    })
  )
  const membership = await run(knock(await request({ cert: { pem, key: own.key }, seed: nkey.seed })))
  expect(membership.role).toBe("worker")
  expect(membership.routePassword).toBeUndefined()
})

test("who is a manager by the ledger keeps its name in the Raft group", async () => {
  const { gateway, roots, knock, request } = await cluster()
  const node = gateway.ledger.read.get("node", "n2")
  if (node === undefined) throw new Error("n2 is there")
  const { Version: _version, CreatedAt: _created, UpdatedAt: _updated, ...known } = node
  const place = { Reachability: "reachable" as const, Addr: "10.0.0.2:2377", Ports: somePorts, RaftId: "r7" }
  await gateway.write({ type: "node.register", v: 1, node: { ...known, ManagerStatus: place } })
  expect(await run(knock(await request()))).toMatchObject({
    role: "manager",
    raftId: "r7",
    routePassword: roots.routePassword
  })
})

test("CA-08 where nobody leads a renewal is refused for now, not for good", async () => {
  const { gateway, knock, request } = await cluster()
  gateway.raft.leaderless = true
  const error = await run(Effect.flip(knock(await request())))
  expect(error.refusal.code).toBe("unavailable")
})
