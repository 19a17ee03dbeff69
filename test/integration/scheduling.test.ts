/** What the scheduler does as people see it: through a daemon, with the docker CLI and `troupe why`. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { hostname } from "node:os"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { PrivateEngine } from "#test/support/dockerd.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { freePort } from "#test/support/free-port.ts"
import { noEngine } from "#test/support/managers.ts"

setDefaultTimeout(90_000)

interface TaskJson {
  readonly ID: string
  readonly DesiredState: string
  readonly Status: {
    readonly State: string
    readonly Err?: string
    readonly ContainerStatus?: { readonly ContainerID: string }
  }
  readonly GenericResources?: ReadonlyArray<object>
}

const tasksOf = (cluster: Cluster, service: string): Promise<ReadonlyArray<TaskJson>> =>
  cluster.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`)

const why = (cluster: Cluster, name: string): Promise<string> =>
  cluster.troupeAnywhere("why", name, "--socket", cluster.socket)

/** Waits until one of the service's tasks is as `state` says, wanted running, and gives it. */
async function taskIn(cluster: Cluster, service: string, state: string): Promise<TaskJson> {
  let found: TaskJson | undefined
  await eventually(async () => {
    const tasks = await tasksOf(cluster, service)
    found = tasks.find((task) => task.Status.State === state && task.DesiredState === "running")
    return found !== undefined && (state !== "pending" || (found.Status.Err ?? "") !== "")
  }, `a task of ${service} is ${state}`)
  if (found === undefined) throw new Error(`no task of ${service} is ${state}`)
  return found
}

describe("a node whose labels change", () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster({
      dockerHost: noEngine,
      args: ["--executor", "process"]
    })
  }, 90_000)
  afterAll(() => cluster?.cleanUp(), 60_000)

  const create = (name: string, ...options: ReadonlyArray<string>): Promise<string> =>
    cluster.must("service", "create", "-d", "--name", name, ...options, "host", "sleep", "1000")

  test("troupe why tells what a task waits for and what would help, and that helps", async () => {
    await create("picky", "--constraint", "node.labels.zone == a")
    const waiting = await taskIn(cluster, "picky", "pending")
    expect(waiting.Status.Err).toBe("no suitable node (scheduling constraints not satisfied on 1 node)")
    const told = await why(cluster, "picky.1")
    expect(told).toContain(`picky.1.${waiting.ID} is pending, wanted running: no suitable node`)
    expect(told).toMatch(/constraints +not node\.labels\.zone == a +1 +/)
    const advice = `docker node update --label-add zone=a ${hostname()}`
    expect(told).toContain(`The smallest change that would help:\n  ${advice}`)
    expect(await why(cluster, "picky")).toContain(advice)

    await cluster.must(...advice.split(" ").slice(1))
    const running = await taskIn(cluster, "picky", "running")
    expect(running.ID).toBe(waiting.ID)
    expect(await why(cluster, running.ID)).toContain(
      `It is on ${hostname()}, which ranked first with 0 tasks of this service, 0 tasks when it was placed.`
    )
    expect(await why(cluster, "picky")).toBe("no task of picky waits\n")
  })

  test("CE-02 docker node update --label-rm evicts the tasks whose constraints no longer hold, and no others", async () => {
    await create("plain")
    const plain = await taskIn(cluster, "plain", "running")
    const evicted = await taskIn(cluster, "picky", "running")
    await cluster.must("node", "update", "--label-rm", "zone", hostname())
    await taskIn(cluster, "picky", "pending")
    const before = (await tasksOf(cluster, "picky")).find(({ ID }) => ID === evicted.ID)
    expect(before).toMatchObject({
      DesiredState: "shutdown",
      Status: { State: "rejected", Err: "assigned node no longer meets constraints" }
    })
    expect((await taskIn(cluster, "plain", "running")).ID).toBe(plain.ID)
  })

  test("what is neither task nor service is said to be so", async () => {
    const answer = await cluster.api("GET", "/why/nobody")
    expect(answer).toMatchObject({
      status: 404,
      body: { message: "no task and no service is called nobody" }
    })
  })
})

describe("an Engine with generic resources", () => {
  let own: PrivateEngine
  let cluster: Cluster

  beforeAll(async () => {
    own = await PrivateEngine.open({ genericResources: ["gpu=one", "gpu=two", "ssd=3"] })
    await ensureTestImage(own.docker)
    cluster = await startCluster({ dockerHost: own.dockerHost })
  }, 120_000)
  afterAll(async () => {
    await cluster?.cleanUp()
    await own?.close()
  }, 60_000)

  test("SC-15 tasks are given theirs by name or number, find them in their environment, and wait when there is none", async () => {
    const resources = await cluster.must(
      "node",
      "inspect",
      "self",
      "--format",
      "{{json .Description.Resources}}"
    )
    expect(JSON.parse(resources).GenericResources).toHaveLength(3)
    const options = ["--generic-resource", "gpu=1", "--generic-resource", "ssd=1", "--replicas", "3"]
    const command = ["sh", "-c", 'echo "$DOCKER_RESOURCE_GPU $DOCKER_RESOURCE_SSD"; exec sleep 1000']
    await cluster.must(
      "service",
      "create",
      "-d",
      "--no-resolve-image",
      "--name",
      "ml",
      ...options,
      testImage,
      ...command
    )
    const waiting = await taskIn(cluster, "ml", "pending")
    expect(waiting.Status.Err).toBe("no suitable node (insufficient resources on 1 node)")
    expect(await why(cluster, waiting.ID)).toContain("wants 1 of gpu, 0 free")
    await eventually(async () => {
      const running = (await tasksOf(cluster, "ml")).filter(({ Status }) => Status.State === "running")
      return running.length === 2 && running.every((task) => task.GenericResources?.length === 2)
    }, "two tasks run with their resources")
    await cluster.must("service", "scale", "-d", "ml=2")
    await eventually(
      async () => (await tasksOf(cluster, "ml")).every(({ Status }) => Status.State !== "pending"),
      "nothing waits"
    )
    await eventually(async () => {
      const printed = await cluster.must("service", "logs", "--raw", "ml")
      return printed.split("\n").filter(Boolean).sort().join() === "one 1,two 1"
    }, "each has printed its own")
  })

  test("SC-18 a host port is waited for as long as the container of a removed service has it", async () => {
    const published = await freePort()
    const create = (name: string, script: string): Promise<string> =>
      cluster.must(
        ...["service", "create", "-d", "--no-resolve-image", "--name", name, "--stop-grace-period", "60s"],
        ...["--publish", `mode=host,target=80,published=${published}`, testImage, "sh", "-c", script]
      )
    await create("stubborn", "trap '' TERM; until [ -e /over ]; do sleep 0.1; done")
    const stubborn = await taskIn(cluster, "stubborn", "running")
    await cluster.must("service", "rm", "stubborn")
    await create("next", "exec sleep 1000")
    const waiting = await taskIn(cluster, "next", "pending")
    expect(waiting.Status.Err).toBe("no suitable node (host-mode port already in use on 1 node)")
    const container = own.docker.getContainer(stubborn.Status.ContainerStatus?.ContainerID ?? "")
    await (await container.exec({ Cmd: ["touch", "/over"] })).start({})
    expect((await taskIn(cluster, "next", "running")).ID).toBe(waiting.ID)
  })

  test("UP-22 a task that has opened the host ports that its service asks for stays when that is changed otherwise", async () => {
    const [tcp, udp, other] = [await freePort(), await freePort(), await freePort()]
    const published = [
      `mode=host,target=80,published=${tcp}`,
      `mode=host,target=81,published=${udp},protocol=udp`
    ]
    await cluster.must(
      ...["service", "create", "-d", "--no-resolve-image", "--name", "open", "--stop-grace-period", "0s"],
      ...[...published, "mode=host,target=82"].flatMap((port) => ["--publish", port]),
      ...[testImage, "sleep", "1000"]
    )
    const task = await taskIn(cluster, "open", "running")
    const update = (...options: ReadonlyArray<string>): Promise<string> =>
      cluster.must("service", "update", "-d", ...options, "open")
    await update("--label-add", "team=blue", "--replicas", "2")
    // Who asked for another task has looked at the first one.
    const second = await taskIn(cluster, "open", "pending")
    expect(second.Status.Err).toBe("no suitable node (host-mode port already in use on 1 node)")
    expect((await taskIn(cluster, "open", "running")).ID).toBe(task.ID)
    await update("--replicas", "1")
    await update("--publish-rm", "80", "--publish-add", `mode=host,target=80,published=${other}`)
    await eventually(
      async () => (await taskIn(cluster, "open", "running")).ID !== task.ID,
      "another has the port"
    )
  })
})
