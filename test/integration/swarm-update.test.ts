/** What `docker swarm update` sets, on a cluster of one manager that runs: each setting is seen to work. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { names } from "#actors/raft/storage/layout.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { noEngine } from "#test/support/managers.ts"

let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster({ name: "n1", args: ["--executor", "process"], dockerHost: noEngine })
}, 60_000)
afterAll(() => cluster.cleanUp(), 60_000)

const update = (...flags: ReadonlyArray<string>) => cluster.must("swarm", "update", ...flags)

test("what is not named stays as it is, and is shown by docker info", async () => {
  const before = (await cluster.get("/swarm")).Spec
  expect(await update("--cert-expiry", "48h", "--max-snapshots", "2")).toBe("Swarm updated.")
  const { Spec } = (await cluster.get("/info")).Swarm.Cluster
  expect(Spec).toEqual({
    ...before,
    CAConfig: { ...before.CAConfig, NodeCertExpiry: 48 * 3600e9 },
    Raft: { ...before.Raft, KeepOldSnapshots: 2 }
  })
})

test("CT-21 what cannot be meant is refused in Swarm's words, and so is a version that is not the present one", async () => {
  const { Spec, Version } = await cluster.get("/swarm")
  for (const [change, message] of [
    [{ Name: "other" }, 'swarm spec must be named "default"'],
    [{ CAConfig: { NodeCertExpiry: 60e9 } }, "minimum certificate expiry time is: 1h0m0s"],
    [{ Dispatcher: { HeartbeatPeriod: -1 } }, "heartbeat time period cannot be a negative duration"]
  ] as const) {
    const { status, body } = await cluster.api("POST", `/swarm/update?version=${Version.Index}`, {
      ...Spec,
      ...change
    })
    expect([status, body.message]).toEqual([400, expect.stringContaining(message)])
  }
  expect(await cluster.api("POST", `/swarm/update?version=${Version.Index - 1}`, Spec)).toEqual({
    status: 500,
    body: { message: "rpc error: code = Unknown desc = update out of sequence" }
  })
  expect((await cluster.api("POST", "/swarm/update", Spec)).status).toBe(400)
  expect((await cluster.get("/swarm")).Spec).toEqual(Spec)
})

test("--snapshot-interval is after how many entries the manager takes a snapshot", async () => {
  await update("--snapshot-interval", "20")
  const before = (await cluster.get("/raft")).snapshotIndex
  for (let at = 0; at < 30; at++)
    await cluster.api("POST", "/configs/create", { Name: `c${at}`, Data: "eA==" })
  await eventually(async () => (await cluster.get("/raft")).snapshotIndex > before, "a snapshot was taken")
}, 30_000)

test("--max-snapshots is how many old snapshots the manager keeps, also while it is begun again", async () => {
  const kept = () => readdirSync(join(cluster.dataDir, "raft", names.snapshots)).length
  await update("--snapshot-interval", "10", "--max-snapshots", "3")
  let made = 0
  const write = async () => cluster.api("POST", "/configs/create", { Name: `old${made++}`, Data: "eA==" })
  await eventually(async () => {
    await write()
    return kept() === 4
  }, "four snapshots are kept")
  const { snapshotIndex } = await cluster.get("/raft")
  await eventually(async () => {
    await write()
    return (await cluster.get("/raft")).snapshotIndex > snapshotIndex
  }, "another one is taken")
  await eventually(() => kept() === 4, "the oldest is gone")
  await cluster.restart()
  await eventually(() => kept() === 4, "as many are kept")
  await update("--max-snapshots", "0")
  await eventually(() => kept() === 2, "the newest and the one before are left")
}, 60_000)

test("TR-12 --task-history-limit is how many tasks are kept of a slot, also of those that ended before", async () => {
  await cluster.must(
    "service",
    "create",
    "-d",
    "--no-resolve-image",
    "--name",
    "calm",
    "host",
    "sleep",
    "1000"
  )
  const tasks = async (): Promise<ReadonlyArray<{ Status: { State: string } }>> =>
    cluster.get('/tasks?filters={"service":["calm"]}')
  const runs = async (count: number): Promise<boolean> => {
    const found = await tasks()
    return found.length === count && found.some(({ Status }) => Status.State === "running")
  }
  for (let count = 1; count <= 4; count++) {
    await eventually(() => runs(count), `${count} tasks, of which the last runs`)
    if (count < 4) await cluster.must("service", "update", "-d", "--force", "calm")
  }
  await update("--task-history-limit", "2")
  await eventually(() => runs(2), "one is kept beside the one that runs")
}, 60_000)
