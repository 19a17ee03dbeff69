import { expect, test } from "bun:test"
import { Effect } from "effect"
import { newJoinToken } from "#actors/authority/join-token.ts"
import { newRoots } from "#actors/authority/membership.ts"
import type { JoinRequest } from "#actors/authority/protocol.ts"
import { welcome } from "#actors/authority/welcome.ts"
import { newRequest, readCertificate } from "#actors/authority/x509.ts"
import { Fresh } from "#runtime/ids.ts"
import { fakeEngine, TestGateway } from "#test/support/gateway.ts"
import { someKeys, somePorts } from "#test/support/trust.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

/** A cluster whose roots are real ones. */
async function cluster() {
  const roots = await run(newRoots(Date.now()))
  const tokens = { Worker: newJoinToken(roots.ca.certificate), Manager: newJoinToken(roots.ca.certificate) }
  const gateway = await TestGateway.start({}, fakeEngine(), { roots, tokens })
  const knock = welcome({ ledger: gateway.ledger, fresh: Fresh.from(3), clock: () => gateway.now })
  return { gateway, roots, tokens, knock }
}

const requestWith = async (token: string): Promise<JoinRequest> => {
  const { pem: csr } = await run(newRequest)
  const [ports, keys] = [somePorts, someKeys]
  return { token, csr, keys, name: "n2", address: "10.0.0.2", ports, availability: "drain" }
}

test("CA-01 who joins with a manager's token becomes a node that is a manager, with what that takes", async () => {
  const { gateway, roots, tokens, knock } = await cluster()
  const request = await requestWith(tokens.Manager)
  const membership = await run(knock(request))
  const node = gateway.ledger.read.get("node", membership.nodeId)
  expect(node).toMatchObject({
    Spec: { Role: "manager", Availability: "drain" },
    Status: { State: "unknown", Addr: "10.0.0.2" },
    ManagerStatus: { Addr: "10.0.0.2:2377", Reachability: "unknown", RaftId: membership.raftId },
    Keys: request.keys
  })
  expect(await run(readCertificate(membership.certificate, roots.ca.certificate))).toMatchObject({
    nodeId: membership.nodeId,
    role: "manager"
  })
  expect(membership.managers).toHaveLength(1)
})

test("CA-01 who joins with a worker's token is no manager and hears of no Raft", async () => {
  const { gateway, tokens, knock } = await cluster()
  const membership = await run(knock(await requestWith(tokens.Worker)))
  expect(gateway.ledger.read.get("node", membership.nodeId)?.ManagerStatus).toBeUndefined()
  expect(membership).toMatchObject({ role: "worker" })
  expect(membership.raftId).toBeUndefined()
})

test("RF-16 a machine that says an address at which nobody is reached is let in in no role, and no node is made", async () => {
  const { gateway, tokens, knock } = await cluster()
  for (const address of ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "10.0.0.256"]) {
    for (const token of [tokens.Manager, tokens.Worker]) {
      const error = await run(Effect.flip(knock({ ...(await requestWith(token)), address })))
      expect(error.refusal).toMatchObject({
        code: "invalidArgument",
        message: expect.stringContaining(`address '${address}': expected`)
      })
    }
  }
  expect(gateway.ledger.read.count("node")).toBe(1)
  for (const address of ["127.0.0.1", "10.0.0.255", "fe80::1"])
    await run(knock({ ...(await requestWith(tokens.Manager)), address }))
  expect(gateway.ledger.read.count("node")).toBe(4)
})

test("without a leader nobody joins, and no node is made", async () => {
  const { gateway, tokens, knock } = await cluster()
  gateway.raft.leaderless = true
  const error = await run(Effect.flip(knock(await requestWith(tokens.Worker))))
  expect(error.message).toContain("The swarm does not have a leader")
  expect(gateway.ledger.read.count("node")).toBe(1)
})

test("no node is made for a request that cannot be signed", async () => {
  const { gateway, tokens, knock } = await cluster()
  const error = await run(Effect.flip(knock({ ...(await requestWith(tokens.Worker)), csr: "nothing" })))
  expect(error.refusal.code).toBe("invalidArgument")
  expect(gateway.ledger.read.count("node")).toBe(1)
})

test("the cluster's roots are in no answer of the Engine's API", async () => {
  const { gateway, roots } = await cluster()
  const answers = await Promise.all(["/swarm", "/info", "/nodes"].map((path) => gateway.get(path)))
  for (const secret of [roots.ca.key, roots.routePassword]) {
    expect(JSON.stringify(answers)).not.toContain(JSON.stringify(secret).slice(1, -1))
  }
})
