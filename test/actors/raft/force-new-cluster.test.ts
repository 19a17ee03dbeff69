/** A majority of managers is lost for good: one survivor begins the cluster anew, and whoever comes back is kept out. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually, uniqueName } from "#test/support/engine.ts"
import {
  ask,
  configNames,
  invitation,
  Managers,
  mustWriteConfig,
  newManager,
  raftOf,
  writeConfig
} from "#test/support/managers.ts"

setDefaultTimeout(240_000)

let managers: Managers | undefined
const joined: Array<Cluster> = []

afterEach(async () => {
  await Promise.all(joined.splice(0).map((one) => one.cleanUp()))
  await managers?.cleanUp()
  managers = undefined
}, 180_000)

interface RunningTask {
  readonly ID: string
  readonly NodeID: string
  readonly Status: { readonly State: string; readonly ContainerStatus?: { readonly PID: number } }
}

/** The tasks of this service that run, by id. */
const running = async (by: Cluster, service: string): Promise<ReadonlyArray<RunningTask>> => {
  const tasks: ReadonlyArray<RunningTask> = await by.get(
    `/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service], "desired-state": ["running"] }))}`
  )
  return tasks.filter(({ Status }) => Status.State === "running").sort((a, b) => (a.ID < b.ID ? -1 : 1))
}

/** A service of `replicas` tasks, once all run. */
async function serve(by: Cluster, replicas: number): Promise<string> {
  const name = uniqueName("web")
  const { status } = await by.api("POST", "/services/create", {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: "host", Command: ["sleep", "600"] } },
    Mode: { Replicated: { Replicas: replicas } }
  })
  expect(status).toBe(201)
  await eventually(async () => (await running(by, name)).length === replicas, "all tasks run", 30_000)
  return name
}

/** Which nodes there are, as this manager says: state, role, and whether it is a manager. */
const nodesBy = async (by: Cluster): Promise<Readonly<Record<string, string>>> =>
  Object.fromEntries(
    (await by.get("/nodes")).map(
      (node: {
        ID: string
        Status: { State: string }
        Spec: { Role: string }
        ManagerStatus?: { Leader: boolean }
      }) => [
        node.ID,
        `${node.Status.State} ${node.Spec.Role}${node.ManagerStatus?.Leader === true ? " leader" : ""}`
      ]
    )
  )

test("E17, L1, RF-13: the one survivor of three keeps every entry and every task, and the others are kept out when they come back", async () => {
  managers = await Managers.start(3)
  const service = await serve(managers.all[0] as Cluster, 3)
  const written: Array<string> = []
  for (const one of managers.all) {
    const name = uniqueName("kept")
    await mustWriteConfig(one, name)
    written.push(name)
  }
  await managers.agreed()
  const survivor = managers.all[2] as Cluster
  const lost = managers.all.slice(0, 2)
  const before = await running(survivor, service)
  const own = before.filter(({ NodeID }) => NodeID === survivor.nodeId)
  expect(own.length).toBeGreaterThan(0)
  for (const one of lost) await one.kill9()

  // Alone of three it answers no write, and says how it stands all the same.
  await eventually(async () => (await raftOf(survivor)).leader === undefined, "nobody leads", 20_000)
  expect((await writeConfig(survivor, "refused")).status).toBe(503)
  expect((await survivor.docker("swarm", "init")).stderr).toContain("This node is already part of a swarm.")

  const { code, text, stderr } = await survivor.docker("swarm", "init", "--force-new-cluster")
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  expect(text).toContain(`Swarm initialized: current node (${survivor.nodeId}) is now a manager.`)

  expect([...(await configNames(survivor))].sort()).toEqual([...written].sort())
  expect(await nodesBy(survivor)).toEqual({
    [survivor.nodeId]: "ready manager leader",
    [lost[0]?.nodeId as string]: "down worker",
    [lost[1]?.nodeId as string]: "down worker"
  })
  // Its own tasks were not touched, and those of the lost run here.
  await eventually(async () => (await running(survivor, service)).length === 3, "all tasks run again", 30_000)
  const after = await running(survivor, service)
  for (const { ID, Status } of own) {
    expect(after.find((task) => task.ID === ID)?.Status.ContainerStatus?.PID).toBe(
      Status.ContainerStatus?.PID as number
    )
  }
  expect((await writeConfig(survivor, uniqueName("after"))).status).toBe(201)

  // Two of three come back, a majority of what was: they ask before they speak.
  for (const one of lost) await one.start()
  for (const one of lost) {
    const view = await raftOf(one)
    expect(view.role).toBe("quarantined")
    expect(view).toMatchObject({
      problem: expect.stringContaining("was begun anew without it, in incarnation 2")
    })
    const { Swarm } = await one.get("/info")
    expect(Swarm).toMatchObject({
      LocalNodeState: "error",
      Error: expect.stringContaining("docker swarm leave --force")
    })
    expect((await ask(one, "POST", "/configs/create", { Name: "old", Data: "eA==" })).status).toBe(503)
    expect(await one.log()).toContain("This manager was left behind")
  }
  expect((await raftOf(survivor)).role).toBe("leader")

  // One that leaves joins again as a new manager.
  const again = lost[0] as Cluster
  expect((await again.docker("swarm", "leave", "--force")).code).toBe(0)
  const { address, token } = await invitation(survivor)
  const replacement = await newManager("again", ["--join", address, "--token", token])
  joined.push(replacement)
  await replacement.restart()
  await eventually(
    async () =>
      (await raftOf(survivor)).role === "leader" &&
      (await nodesBy(replacement))[replacement.nodeId] === "ready manager",
    "the new manager is a member",
    30_000
  )
  expect([...(await configNames(replacement))]).toEqual(expect.arrayContaining(written))
})
