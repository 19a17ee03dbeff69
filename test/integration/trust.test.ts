/** The cluster's root while it runs, on three managers and a worker that show each other certificates. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { Effect } from "effect"
import type { Held } from "#actors/authority/store.ts"
import { issuerOf, newRequest, newRoot, readCertificate, sign } from "#actors/authority/x509.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { mustWriteConfig } from "#test/support/managers.ts"
import { connectWith, heldBy, putHeld, seedsOf, Trusting } from "#test/support/trusting.ts"

setDefaultTimeout(120_000)

let cluster: Trusting
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

beforeAll(async () => {
  cluster = await Trusting.start(3)
}, 180_000)
afterAll(() => cluster?.cleanUp(), 60_000)

/** Process ids of the tasks that run. */
async function pids(): Promise<ReadonlyArray<number>> {
  const filters = encodeURIComponent('{"desired-state":["running"]}')
  const tasks = await cluster.first.get(`/tasks?filters=${filters}`)
  return tasks
    .filter((task: { Status: { State: string } }) => task.Status.State === "running")
    .map((task: { Status: { ContainerStatus?: { PID?: number } } }) => task.Status.ContainerStatus?.PID)
    .sort()
}

/** Writes through every manager until `during` is over, one after the other; how many there were. */
async function writing(during: () => Promise<void>): Promise<number> {
  let isOver = false
  let writes = 0
  const writers = cluster.managers.all.map(async (manager, at) => {
    while (!isOver) await mustWriteConfig(manager, `during-${at}-${writes++}`)
  })
  await during().finally(() => {
    isOver = true
  })
  await Promise.all(writers)
  return writes
}

test("docker swarm ca prints the root, and every node says whose certificate it has", async () => {
  const { TLSInfo } = await cluster.swarm()
  expect(await cluster.first.must("swarm", "ca")).toBe(TLSInfo.TrustRoot.trim())
  expect(heldBy(cluster.first).membership.root).toBe(TLSInfo.TrustRoot)
  expect(TLSInfo.CertIssuerPublicKey).toBe(issuerOf(TLSInfo.TrustRoot).publicKey)
  await cluster.rotated()
})

test("CA-13 the root changes under load: writes go on, no task ends, and every node is certified anew", async () => {
  const { first, worker, managers } = cluster
  const created = await first.api("POST", "/services/create", {
    Name: "sleeper",
    TaskTemplate: { ContainerSpec: { Image: "host", Command: ["sleep", "600"] } },
    Mode: { Replicated: { Replicas: 4 } }
  })
  expect(created.status).toBe(201)
  await eventually(async () => (await pids()).length === 4, "the tasks run")
  const [before, running, stolen] = [await cluster.swarm(), await pids(), heldBy(worker)]

  const writes = await writing(async () => {
    // It returns once every node has said that it trusts the new root.
    const { text } = await first.cli(["swarm", "ca", "--rotate"], { withinMs: 100_000 })
    expect(text).toContain("BEGIN CERTIFICATE")
  })
  expect(writes).toBeGreaterThan(5)
  expect(await pids()).toEqual(running)

  const after = await cluster.swarm()
  expect(after.RootRotationInProgress).toBe(false)
  expect(after.TLSInfo.TrustRoot).not.toBe(before.TLSInfo.TrustRoot)
  for (const { Description } of await cluster.nodes()) expect(Description.TLSInfo).toEqual(after.TLSInfo)
  for (const node of [...managers.all, worker]) {
    const { certificate, root } = heldBy(node).membership
    expect(root).toBe(after.TLSInfo.TrustRoot)
    expect((await run(readCertificate(certificate, root))).issuer).toEqual(issuerOf(root))
  }

  // The old root is worth nothing any more: neither what it signed, nor to those who know only it.
  const { daemon } = seedsOf(worker)
  for (const manager of managers.all) {
    await eventually(async () => {
      const connection = await connectWith(manager, stolen, daemon).catch(() => undefined)
      await connection?.close()
      return connection === undefined
    }, "its nats-server knows the new root only")
    const renewed = await connectWith(manager, heldBy(worker), daemon)
    await renewed.close()
  }
})

test("CA-13 join tokens name the new root, and the old ones open nothing", async () => {
  const { swarm, first } = cluster
  const before = (await swarm()).JoinTokens
  await first.must("swarm", "ca", "--rotate", "--detach")
  await cluster.rotated()
  const after = (await swarm()).JoinTokens
  for (const role of ["Worker", "Manager"] as const) {
    expect(after[role].split("-")[2]).not.toBe(before[role].split("-")[2])
    expect(await first.must("swarm", "join-token", "-q", role.toLowerCase())).toBe(after[role])
  }
  await expect(cluster.joinWorker("late", before.Worker)).rejects.toThrow(
    "remote CA does not match fingerprint"
  )
  await cluster.workers.pop()?.cleanUp()
})

test("CA-14 a change of the root waits for a node that is down, and goes on when it is back", async () => {
  const { first, worker, managers } = cluster
  const before = await cluster.swarm()
  await worker.stop()
  await first.must("swarm", "ca", "--rotate", "--detach")
  await eventually(
    async () => {
      const { TLSInfo } = await cluster.swarm()
      return (await cluster.nodes())
        .filter(({ Spec }) => Spec.Role === "manager")
        .every(({ Description }) => Description.TLSInfo?.CertIssuerPublicKey === TLSInfo.CertIssuerPublicKey)
    },
    "the managers have certificates of the new root",
    60_000
  )
  const during = await cluster.swarm()
  expect(during.RootRotationInProgress).toBe(true)
  expect(during.TLSInfo.TrustRoot).toBe(before.TLSInfo.TrustRoot)
  // Who joins meanwhile is certified by the root to come, and trusts the one that is still trusted.
  await cluster.joinWorker("w2")
  await cluster.ready(4)
  await worker.start()
  await cluster.rotated()
  await cluster.ready(5)
  for (const node of [...managers.all, ...cluster.workers]) {
    expect(heldBy(node).membership.root).not.toBe(before.TLSInfo.TrustRoot)
  }
})

test("CA-14 or it goes on without the node, once that is removed", async () => {
  const [, second] = cluster.workers
  await second?.stop()
  await cluster.first.must("swarm", "ca", "--rotate", "--detach")
  expect((await cluster.swarm()).RootRotationInProgress).toBe(true)
  await cluster.first.must("node", "rm", "--force", "w2")
  await cluster.rotated()
  await cluster.workers.pop()?.cleanUp()
})

test("CA-15 changes that overtake each other end in the last one, whoever leads meanwhile", async () => {
  const { first, worker, managers } = cluster
  await worker.stop()
  await first.must("swarm", "ca", "--rotate", "--detach")
  const leader = await managers.leader()
  await leader.kill9()
  const other = managers.others(leader)[0] ?? first
  await managers.leader(managers.others(leader))
  const wanted = await run(newRoot(Date.now()))
  await eventually(async () => {
    const { Version, Spec } = await cluster.swarm(other)
    const CAConfig = { ...Spec.CAConfig, SigningCACert: wanted.pem, SigningCAKey: wanted.key }
    const body = { ...Spec, CAConfig }
    return (await other.api("POST", `/swarm/update?version=${Version.Index}`, body)).status === 200
  }, "the next leader takes another change")
  await Promise.all([leader.start(), worker.start()])
  await cluster.rotated()
  expect((await cluster.swarm()).TLSInfo.TrustRoot).toBe(wanted.pem)
  // The key that signs is shown to nobody.
  expect(JSON.stringify(await cluster.swarm())).not.toContain("PRIVATE KEY")
  own = wanted
})

/** The root that the last test left, whose key we have. */
let own: { readonly pem: string; readonly key: string }

/** What a node holds, but for a certificate that ended a minute ago. */
async function endedCertificateOf(node: Cluster): Promise<Held> {
  const held = heldBy(node)
  const { clusterId, nodeId, role } = held.membership
  const request = await run(newRequest)
  const certificate = await run(
    sign({ certificate: own.pem, key: own.key }, request.pem, {
      subject: `O=${clusterId}, OU=swarm-${role}, CN=${nodeId}`,
      dnsNames: [],
      addresses: [],
      notBefore: Date.now() - 7_200_000,
      notAfter: Date.now() - 60_000
    })
  )
  return { ...held, membership: { ...held.membership, certificate }, key: request.key }
}

test("CA-10 a node whose certificate has ended while it was away comes back by its old key, and no other way", async () => {
  const { worker, first } = cluster
  await worker.stop()
  const expired = await endedCertificateOf(worker)
  const { nodeId } = expired.membership
  await expect(connectWith(first, expired, seedsOf(worker).daemon)).rejects.toThrow()
  putHeld(worker, expired)
  await worker.start()
  await cluster.ready(4)
  const renewed = heldBy(worker).membership
  expect(renewed.nodeId).toBe(nodeId)
  expect((await run(readCertificate(renewed.certificate, own.pem))).notAfter).toBeGreaterThan(Date.now())
})

test("CA-10 a node whose certificate has ended and which was removed while it was away says so when it comes back", async () => {
  const away = await cluster.joinWorker("w2")
  await cluster.ready(5)
  await away.stop()
  putHeld(away, await endedCertificateOf(away))
  await cluster.first.must("node", "rm", "--force", "w2")
  await away.start()
  expect((await away.get("/info")).Swarm).toMatchObject({
    LocalNodeState: "error",
    Error: expect.stringMatching(/^This node was removed from the cluster/)
  })
  expect((await away.docker("swarm", "leave")).code).toBe(0)
})

test("CA-10 a manager that begins the cluster anew certifies itself, when nobody else is left to do so", async () => {
  const { first, managers } = cluster
  await Promise.all(managers.all.map((one) => one.stop()))
  putHeld(first, await endedCertificateOf(first))
  await first.start(["--force-new-cluster"])
  await eventually(
    async () => {
      const shown = await cluster.nodes().catch(() => [])
      return shown.some(({ ID, Status }) => ID === first.nodeId && Status.State === "ready")
    },
    "it goes on alone",
    60_000
  )
  const { certificate, root } = heldBy(first).membership
  expect(root).toBe(own.pem)
  expect((await run(readCertificate(certificate, root))).notAfter).toBeGreaterThan(Date.now())
})
