/** A manager whose disk lost part of what it acknowledged, and that comes up first: nothing follows from what it lacks. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { configNames, Managers, mustWriteConfig, raftOf } from "#test/support/managers.ts"
import { lastIndexOf, rot } from "#test/support/rot.ts"

setDefaultTimeout(180_000)

let managers: Managers | undefined
afterEach(async () => {
  await managers?.cleanUp()
}, 180_000)

test("D6, D5, L1: it leads nobody, says what it lacks, and no task or config of the others goes", async () => {
  managers = await Managers.start(3)
  const [damaged, one, two] = managers.all as [Cluster, Cluster, Cluster]
  const created = await one.api("POST", "/services/create", {
    Name: "web",
    TaskTemplate: { ContainerSpec: { Image: "host", Command: ["sleep", "600"] } },
    Mode: { Replicated: { Replicas: 3 } }
  })
  expect(created.status).toBe(201)
  const running = async (by: Cluster): Promise<ReadonlyArray<string>> => {
    const filters = encodeURIComponent(JSON.stringify({ "desired-state": ["running"] }))
    // On a busy machine leaders change; then nobody can say.
    const tasks: ReadonlyArray<{ ID: string; Status: { State: string } }> = await by
      .get(`/tasks?filters=${filters}`)
      .catch(() => [])
    return tasks.filter(({ Status }) => Status.State === "running").map(({ ID }) => ID)
  }
  await eventually(async () => (await running(one)).length === 3, "all tasks run", 30_000)
  const before = [...(await running(one))].sort()
  const written: Array<string> = []
  for (let i = 0; i < 12; i++) {
    const name = `config-${i + 10}`
    await mustWriteConfig(managers.all[i % 3] as Cluster, name)
    written.push(name)
  }
  await managers.agreed()
  for (const each of managers.all) await each.kill9()
  rot(damaged.dataDir, lastIndexOf(damaged.dataDir) - 6)

  await damaged.start()
  expect(await raftOf(damaged)).toMatchObject({
    role: "quarantined",
    problem: expect.stringContaining("which was acknowledged")
  })
  await one.start()
  await two.start()
  await eventually(
    async () => [await raftOf(one), await raftOf(two)].some(({ role }) => role === "leader"),
    "one of the others leads",
    30_000
  )
  expect((await raftOf(damaged)).role).toBe("quarantined")
  for (const each of [one, two]) {
    await eventually(async () => (await each.api("GET", "/configs")).status === 200, "it answers", 30_000)
    expect([...(await configNames(each))].sort()).toEqual(written)
  }
  await eventually(async () => (await running(one)).length === 3, "all tasks run", 30_000)
  // Those of the damaged one's node cannot be told from lost ones by now; the others are the same tasks.
  await eventually(
    async () => {
      const after = await running(one)
      return before.filter((id) => after.includes(id)).length >= 2
    },
    "they are the same tasks",
    30_000
  )
  await mustWriteConfig(one, "after")
})
