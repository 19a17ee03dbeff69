/** What is killed comes back: containers, the daemon, nats-server, dockerd. Nothing is lost, nothing runs twice. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import process from "node:process"
import type Docker from "dockerode"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { PrivateEngine } from "#test/support/dockerd.ts"
import { engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { freePort } from "#test/support/free-port.ts"

/** One line per figure, for whoever reads the run. */
const measured = (what: string, milliseconds: number): void =>
  console.log(`measured: ${what}: ${Math.round(milliseconds)} ms`)

interface TaskJson {
  readonly ID: string
  readonly Slot?: number
  readonly CreatedAt: string
  readonly DesiredState: string
  readonly Status: {
    readonly State: string
    readonly Timestamp: string
    readonly ContainerStatus?: { readonly ContainerID: string; readonly ExitCode?: number }
  }
}

const tasksOf = (cluster: Cluster, service: string): Promise<ReadonlyArray<TaskJson>> =>
  cluster.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`)

const runningOf = async (cluster: Cluster, service: string): Promise<ReadonlyArray<TaskJson>> =>
  (await tasksOf(cluster, service)).filter(
    (task) => task.Status.State === "running" && task.DesiredState === "running"
  )

const containerOf = (task: TaskJson | undefined): string => task?.Status.ContainerStatus?.ContainerID ?? ""

async function create(cluster: Cluster, name: string, replicas: number, ...more: ReadonlyArray<string>) {
  await cluster.must(
    ...["service", "create", "-d", "--name", name, "--replicas", String(replicas)],
    ...["--stop-grace-period", "0s", ...more, testImage, "sleep", "100000"]
  )
  await runs(cluster, name, replicas)
}

const runs = (cluster: Cluster, name: string, replicas: number): Promise<void> =>
  eventually(
    async () => (await runningOf(cluster, name)).length === replicas,
    `${replicas} tasks of ${name} run`,
    60_000
  )

/** When each running container of a service was started, by its id. */
async function starts(docker: Docker, cluster: Cluster, service: string): Promise<Record<string, string>> {
  const ids = (await runningOf(cluster, service)).map(containerOf)
  const found = await Promise.all(ids.map((id) => docker.getContainer(id).inspect()))
  return Object.fromEntries(found.map(({ Id, State }) => [Id, State.StartedAt]))
}

/** The replacement of an ended task in its slot, once it runs. */
async function replacementOf(cluster: Cluster, service: string, old: TaskJson): Promise<TaskJson> {
  let found: TaskJson | undefined
  await eventually(async () => {
    const running = await runningOf(cluster, service)
    found = running.find((task) => task.Slot === old.Slot && task.ID !== old.ID)
    return found !== undefined
  }, `slot ${old.Slot} of ${service} runs again`)
  return found as TaskJson
}

/** Everything the ledger holds that does not change by itself. */
async function ledgerOf(cluster: Cluster): Promise<unknown> {
  const sorted = async (path: string) =>
    (await cluster.get(path)).sort((a: { ID: string }, b: { ID: string }) => (a.ID < b.ID ? -1 : 1))
  const networks: ReadonlyArray<{ Id: string; Scope: string }> = await cluster.get("/networks")
  return {
    services: await sorted("/services"),
    secrets: await sorted("/secrets"),
    configs: await sorted("/configs"),
    networks: networks.filter(({ Scope }) => Scope === "swarm").sort((a, b) => (a.Id < b.Id ? -1 : 1)),
    tasks: (await sorted("/tasks")).map(withoutChurn),
    cluster: (({ ID, CreatedAt, JoinTokens, Spec }) => ({ ID, CreatedAt, JoinTokens, Spec }))(
      await cluster.get("/swarm")
    )
  }
}

const withoutChurn = ({
  Version: _version,
  UpdatedAt: _updatedAt,
  Status,
  ...rest
}: TaskJson & { readonly [churn: string]: unknown }) => ({
  ...rest,
  state: Status.State
})

describe("on an Engine that stays", () => {
  let cluster: Cluster
  const docker = engine()

  beforeAll(async () => {
    await ensureTestImage()
    cluster = await startCluster()
  }, 90_000)
  afterAll(() => cluster.cleanUp(), 60_000)

  /** What the Engine alone takes from a kill to the next container running, for comparison. */
  async function byHand(): Promise<number> {
    const make = () =>
      docker.createContainer({
        Image: testImage,
        Cmd: ["sleep", "100000"],
        Labels: { "io.troupe.cluster": cluster.clusterId, "by-hand": "yes" }
      })
    const first = await make()
    await first.start()
    const began = performance.now()
    const ended = first.wait()
    await first.kill()
    await ended
    const second = await make()
    await second.start()
    const took = performance.now() - began
    await Promise.all([first, second].map((container) => container.remove({ force: true })))
    return took
  }

  test("a killed container is replaced at once where the restart delay is 0", async () => {
    await create(cluster, "prompt", 1, "--restart-delay", "0s")
    const figures: Array<number> = []
    for (let round = 0; round < 3; round++) {
      const [old] = await runningOf(cluster, "prompt")
      if (old === undefined) throw new Error("no task runs")
      const killedAt = Date.now()
      await docker.getContainer(containerOf(old)).kill()
      const next = await replacementOf(cluster, "prompt", old)
      figures.push(Date.parse(next.Status.Timestamp) - killedAt)
      const ended = (await tasksOf(cluster, "prompt")).find(({ ID }) => ID === old.ID)
      expect(ended).toMatchObject({
        DesiredState: "shutdown",
        Status: { State: "failed", ContainerStatus: { ExitCode: 137 } }
      })
    }
    for (const figure of figures) measured("container killed to replacement running, delay 0", figure)
    measured("the same by hand, straight on the Engine", await byHand())
    await cluster.must("service", "rm", "prompt")
  }, 60_000)

  test("a killed container is not replaced before its restart delay is over", async () => {
    await create(cluster, "patient", 1, "--restart-delay", "2s")
    const [old] = await runningOf(cluster, "patient")
    if (old === undefined) throw new Error("no task runs")
    await docker.getContainer(containerOf(old)).kill()
    const next = await replacementOf(cluster, "patient", old)
    const ended = (await tasksOf(cluster, "patient")).find(({ ID }) => ID === old.ID)
    const { State } = await docker.getContainer(containerOf(next)).inspect()
    const pause = Date.parse(State.StartedAt) - Date.parse(ended?.Status.Timestamp ?? "")
    measured("end of a task to start of the next, delay 2 s", pause)
    expect(pause).toBeGreaterThanOrEqual(2_000)
    await cluster.must("service", "rm", "patient")
  }, 60_000)

  test("kill -9 of the daemon leaves containers alone; the next life adopts them and repairs what happened", async () => {
    await create(cluster, "lasting", 5, "--restart-delay", "0s")
    const port = await freePort()
    await cluster.must(
      ...["service", "create", "-d", "--name", "door", "-p", `${port}:80`, testImage],
      ...["sh", "-c", "mkdir /www; echo open > /www/index.html; exec httpd -f -p 80 -h /www"]
    )
    const answers = () =>
      fetch(`http://127.0.0.1:${port}/`).then(
        async (response) => (await response.text()).trim() === "open",
        () => false
      )
    await eventually(answers, "the published port answers")
    const before = await starts(docker, cluster, "lasting")
    const [killed = "", removed = ""] = Object.keys(before)
    const tasks = await tasksOf(cluster, "lasting")

    await cluster.kill9()
    expect(await answers()).toBe(true)
    await docker.getContainer(killed).kill()
    await docker.getContainer(removed).remove({ force: true })
    const running = await docker.listContainers({
      filters: { label: [`io.troupe.cluster=${cluster.clusterId}`, "com.docker.swarm.service.name=lasting"] }
    })
    expect(running.map(({ Id }) => Id).sort()).toEqual(
      Object.keys(before)
        .filter((id) => id !== killed && id !== removed)
        .sort()
    )

    const began = performance.now()
    await cluster.restart()
    measured("start of the daemon to a ready node", performance.now() - began)
    await eventually(async () => {
      const now = (await runningOf(cluster, "lasting")).map(containerOf)
      return now.length === 5 && !now.includes(killed) && !now.includes(removed)
    }, "the two that ended are replaced")
    measured("start of the daemon to drift repaired", performance.now() - began)
    const after = await starts(docker, cluster, "lasting")
    for (const [id, startedAt] of Object.entries(before)) {
      if (id !== killed && id !== removed) expect(after[id]).toBe(startedAt)
    }
    // Five of before and one more for each of the two: nothing was tried twice.
    const known = new Set(tasks.map(({ ID }) => ID))
    const made = (await tasksOf(cluster, "lasting")).filter(({ ID }) => !known.has(ID))
    expect(made).toHaveLength(2)
    expect(await answers()).toBe(true)
    await cluster.must("service", "rm", "lasting", "door")
  }, 90_000)

  test("kill -9 of nats-server: it is back, nothing is lost, and services are created as before", async () => {
    await create(cluster, "calm", 2, "--restart-delay", "0s")
    const before = await starts(docker, cluster, "calm")
    const { natsPid } = cluster
    const port = Number(new URL(await natsUrl(cluster)).port)
    const began = performance.now()
    process.kill(natsPid, "SIGKILL")
    await eventually(async () => cluster.natsPid !== natsPid && (await greets(port)), "nats-server is back")
    measured("nats-server killed to answering again", performance.now() - began)
    await create(cluster, "after", 1)
    measured("nats-server killed to a new service running", performance.now() - began)
    expect(await starts(docker, cluster, "calm")).toEqual(before)
    const [old] = await runningOf(cluster, "calm")
    if (old === undefined) throw new Error("no task runs")
    await docker.getContainer(containerOf(old)).kill()
    await replacementOf(cluster, "calm", old)
    expect(await cluster.crashes()).toEqual([])
    await cluster.must("service", "rm", "calm", "after")
  }, 60_000)

  test("after everything was killed and started again the ledger is as it was", async () => {
    await cluster.must("network", "create", "-d", "overlay", "--label", "kept=yes", "backbone")
    await writeFile(join(cluster.folder, "content"), "something")
    await cluster.must("secret", "create", "--label", "a=b", "key", join(cluster.folder, "content"))
    await cluster.must("config", "create", "motd", join(cluster.folder, "content"))
    await create(
      cluster,
      "whole",
      3,
      ...["--network", "backbone", "--secret", "key", "--config", "motd", "--env", "A=b"]
    )
    await cluster.must("service", "update", "-d", "--label-add", "x=y", "whole")
    // Tasks of services that were removed before go one by one.
    await eventually(async () => (await cluster.get("/tasks")).length === 3, "only these tasks are left")
    const before = await ledgerOf(cluster)
    const containers = await starts(docker, cluster, "whole")
    const { natsPid, dataPlanePid } = cluster
    await cluster.kill9()
    for (const pid of [natsPid, dataPlanePid]) process.kill(pid, "SIGKILL")
    await cluster.restart()
    await runs(cluster, "whole", 3)
    expect(await ledgerOf(cluster)).toEqual(before)
    // And once more in order.
    await cluster.stop()
    await cluster.restart()
    await runs(cluster, "whole", 3)
    expect(await ledgerOf(cluster)).toEqual(before)
    expect(await starts(docker, cluster, "whole")).toEqual(containers)
    await cluster.must("service", "rm", "whole")
  }, 90_000)
})

async function natsUrl(cluster: Cluster): Promise<string> {
  const { readFile } = await import("node:fs/promises")
  return JSON.parse(await readFile(join(cluster.dataDir, "running.json"), "utf8")).nats
}

/** Whether a NATS server greets on this port. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    const close = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once("data", (data) => close(String(data).startsWith("INFO")))
    socket.once("error", () => close(false))
    socket.setTimeout(500, () => close(false))
  })
}

describe.each([true, false])("on an Engine that is killed, live-restore %p", (liveRestore) => {
  let own: PrivateEngine
  let cluster: Cluster

  beforeAll(async () => {
    own = await PrivateEngine.open({ liveRestore })
    await ensureTestImage(own.docker)
    cluster = await startCluster({ dockerHost: own.dockerHost })
  }, 120_000)
  afterAll(async () => {
    await cluster.cleanUp()
    await own.close()
  }, 60_000)

  test(liveRestore ? "containers are adopted" : "containers are replaced, each once", async () => {
    await create(cluster, "web", 4, "--restart-delay", "0s")
    const before = await starts(own.docker, cluster, "web")
    const known = new Set((await tasksOf(cluster, "web")).map(({ ID }) => ID))
    await own.kill()
    const began = performance.now()
    await own.start()
    const answers = performance.now()
    if (liveRestore) {
      // A task made now is seen to run, so the node follows the Engine again.
      await create(cluster, "later", 1)
      expect(await starts(own.docker, cluster, "web")).toEqual(before)
      expect((await tasksOf(cluster, "web")).map(({ ID }) => ID).sort()).toEqual([...known].sort())
    } else {
      await eventually(
        async () => {
          const running = await runningOf(cluster, "web")
          return running.length === 4 && running.every(({ ID }) => !known.has(ID))
        },
        "all four are replaced",
        60_000
      )
      const made = (await tasksOf(cluster, "web")).filter(({ ID }) => !known.has(ID))
      expect(made).toHaveLength(4)
    }
    const done = performance.now()
    measured(`dockerd started again to answering, live-restore ${liveRestore}`, answers - began)
    measured(
      `dockerd answering to ${liveRestore ? "a new service running" : "four tasks replaced"}`,
      done - answers
    )
    expect(await cluster.crashes()).toEqual([])
  }, 120_000)
})
