/** `docker service logs` through the gateway: containers of a real Engine, read by the node's own actor. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import type { ChildProcess } from "node:child_process"
import http from "node:http"
import { address } from "#runtime/address.ts"
import { clis, docker, startDocker } from "#test/support/docker-cli.ts"
import { cleanUp, engine, ensureTestImage, eventually, testImage, uniqueName } from "#test/support/engine.ts"
import { nodeId } from "#test/support/gateway.ts"
import { type OpenTestGateway, openTestGateway } from "#test/support/open-gateway.ts"

const label = uniqueName("gateway-logs")
const newCli = clis[0]?.path ?? "docker"
let gateway: OpenTestGateway
const children: Array<ChildProcess> = []
let ids = 0
const freshId = (): string => `${(ids++).toString(36).padStart(3, "0")}abcdefghijklmnopqrstuv`

beforeAll(async () => {
  await ensureTestImage()
  gateway = await openTestGateway()
}, 60_000)
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL")
})
afterAll(async () => {
  await gateway.close()
  await cleanUp(label)
}, 60_000)

interface MadeTask {
  readonly id: string
  readonly container: string
}

/** A service as the orchestrator leaves it. */
async function service(name: string, extra: Record<string, unknown> = {}): Promise<string> {
  const id = freshId()
  await gateway.cluster.write({
    type: "service.create",
    v: 1,
    service: {
      ID: id,
      SpecVersion: 1,
      Spec: {
        Name: name,
        Mode: { Replicated: { Replicas: 1 } },
        TaskTemplate: { ContainerSpec: { Image: testImage, ...extra } }
      }
    }
  })
  return id
}

/** A task that runs `script` in a container of the real Engine, as the node leaves it. */
async function task(
  serviceId: string,
  slot: number,
  script: string,
  options: { readonly tty?: boolean; readonly labels?: Record<string, string> } = {}
): Promise<MadeTask> {
  const id = freshId()
  const container = await engine().createContainer({
    Image: testImage,
    Cmd: ["sh", "-c", script],
    Tty: options.tty ?? false,
    Labels: { [label]: "1", "com.docker.swarm.task.id": id, ...options.labels },
    HostConfig: {
      NetworkMode: "none",
      ...(options.labels === undefined
        ? {}
        : { LogConfig: { Type: "json-file", Config: { labels: Object.keys(options.labels).join(",") } } })
    }
  })
  await container.start()
  await gateway.cluster.write({
    type: "tasks.change",
    v: 1,
    create: [
      {
        ID: id,
        ServiceID: serviceId,
        SpecVersion: 1,
        Slot: slot,
        NodeID: nodeId,
        DesiredState: "running",
        Status: {
          Timestamp: "2026-11-22T21:01:31Z",
          State: "running",
          ContainerStatus: { ContainerID: container.id }
        }
      }
    ],
    update: [],
    remove: []
  })
  return { id, container: container.id }
}

/** Waits until it has ended, so that all it wrote is in the Engine's log. */
const isOver = ({ container }: MadeTask): Promise<unknown> => engine().getContainer(container).wait()

/** The CLI, following, and what it has said so far. */
function follow(args: ReadonlyArray<string>, cli = newCli) {
  const child = startDocker(gateway.host, ["service", "logs", "-f", ...args], { cli })
  children.push(child)
  let text = ""
  let errors = ""
  child.stdout?.on("data", (part) => {
    text += String(part)
  })
  child.stderr?.on("data", (part) => {
    errors += String(part)
  })
  return { child, text: () => text, errors: () => errors }
}

const get = (path: string): Promise<{ status: number; type: string; body: Buffer }> =>
  new Promise((resolve, reject) => {
    http
      .get({ socketPath: gateway.socket as string, path }, (response) => {
        const parts: Array<Buffer> = []
        response.on("data", (part) => parts.push(part))
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            type: response.headers["content-type"] ?? "",
            body: Buffer.concat(parts)
          })
        )
      })
      .on("error", reject)
  })

test("DI-24 lines of all tasks of a service, each with its task's name, on its own stream", async () => {
  const name = uniqueName("web")
  const id = await service(name)
  const first = await task(id, 1, "echo one; echo wrong >&2")
  const second = await task(id, 2, "echo two")
  await Promise.all([first, second].map(isOver))
  for (const { path: cli } of clis) {
    const result = await docker(gateway.host, ["service", "logs", name], { cli })
    expect(result.code).toBe(0)
    expect(result.text).toMatch(new RegExp(`${name}\\.1\\.${first.id.slice(0, 12)}@sk1 +\\| one`))
    expect(result.text).toMatch(new RegExp(`${name}\\.2\\.\\w+@sk1 +\\| two`))
    expect(result.stderr).toMatch(/\| wrong/)
  }
}, 30_000)

test("one frame per line: timestamp, details, line; of a service, of a task, by name and by prefix", async () => {
  const name = uniqueName("frames")
  const id = await service(name)
  const made = await task(id, 1, "echo a; echo b", { labels: { colour: "red" } })
  await isOver(made)
  const query = "stdout=1&stderr=1&timestamps=1&details=1"
  for (const path of [
    `/services/${name}`,
    `/services/${id}`,
    `/tasks/${made.id}`,
    `/tasks/${made.id.slice(0, 12)}`
  ]) {
    const { status, type, body } = await get(`${path}/logs?${query}`)
    expect(status).toBe(200)
    expect(type).toBe("application/vnd.docker.multiplexed-stream")
    const frames: Array<string> = []
    for (let at = 0; at < body.length; ) {
      expect(body[at]).toBe(1)
      const end = at + 8 + body.readUInt32BE(at + 4)
      frames.push(body.subarray(at + 8, end).toString())
      at = end
    }
    const details = `colour=red,com.docker.swarm.node.id=${nodeId},com.docker.swarm.service.id=${id},com.docker.swarm.task.id=${made.id}`
    expect(frames).toHaveLength(2)
    expect(frames[0]).toMatch(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT[\\d:]{8}\\.\\d{9}Z ${details} a\n$`))
    expect(frames[1]).toEndWith(" b\n")
  }
  // Before 1.42 nothing said that a stream is framed.
  expect((await get(`/v1.41/services/${name}/logs?stdout=1`)).type).toBe("application/vnd.docker.raw-stream")
}, 30_000)

test("tail, since and until choose among the lines; a terminal's log is raw", async () => {
  const name = uniqueName("some")
  const id = await service(name)
  await isOver(await task(id, 1, "for i in 1 2 3 4 5; do echo line $i; done"))
  const tail = await docker(gateway.host, ["service", "logs", "--raw", "--tail", "2", name])
  expect(tail.text).toBe("line 4\nline 5")
  expect((await docker(gateway.host, ["service", "logs", "--raw", "--since", "1h", name])).text).toContain(
    "line 1"
  )
  const past = Math.floor(Date.now() / 1000) - 3600
  expect((await get(`/services/${name}/logs?stdout=1&until=${past}`)).body.length).toBe(0)
  const stdoutOnly = await get(`/services/${name}/logs?stderr=1`)
  expect(stdoutOnly.body.length).toBe(0)

  const tty = uniqueName("tty")
  await isOver(await task(await service(tty, { TTY: true }), 1, "echo raw", { tty: true }))
  const { type, body } = await get(`/services/${tty}/logs?stdout=1`)
  expect(type).toBe("application/vnd.docker.raw-stream")
  expect(body.toString()).toBe("raw\r\n")
  const framed = await get(`/services/${tty}/logs?stdout=1&framed=1`)
  expect(framed.type).toBe("application/vnd.docker.multiplexed-stream")
  expect([framed.body[0], framed.body.subarray(8).toString()]).toEqual([1, "raw\r\n"])
}, 30_000)

test("a follower hears tasks that come later, and outlives tasks that end and are reaped", async () => {
  const name = uniqueName("later")
  const id = await service(name)
  const first = await task(id, 1, "echo first; sleep 1; echo last words")
  const followers = clis.map(({ path }) => follow([name], path))
  for (const follower of followers) {
    await eventually(() => follower.text().includes("| first"), "the first task is heard")
  }
  await task(id, 2, "while :; do echo second; sleep 0.2; done")
  for (const follower of followers) {
    await eventually(() => follower.text().includes("| second"), "the second task is heard")
    await eventually(() => follower.text().includes("last words"), "the first is heard to its end")
  }
  await engine().getContainer(first.container).remove({ force: true })
  await gateway.cluster.write({ type: "tasks.change", v: 1, create: [], update: [], remove: [first.id] })
  await task(id, 1, "echo third; sleep 30")
  for (const follower of followers) {
    await eventually(() => follower.text().includes("| third"), "the replacement is heard")
    expect(follower.errors()).toBe("")
    expect(follower.child.exitCode).toBeNull()
  }
}, 60_000)

test("a task that was reaped before the CLI asked for it does not abort the CLI", async () => {
  const name = uniqueName("reaped")
  const id = await service(name)
  const made = await task(id, 1, "echo from a reaped task; sleep 60")
  // The log is opened, then the task is reaped: only then does a client look at the line and ask for its task.
  await eventually(
    async () => (await get(`/services/${name}/logs?stdout=1&details=1`)).body.toString().includes(made.id),
    "the line is in the log"
  )
  await gateway.cluster.write({ type: "tasks.change", v: 1, create: [], update: [], remove: [made.id] })
  const shown = await get(`/v1.41/tasks/${made.id}`)
  expect(shown.status).toBe(200)
  expect(JSON.parse(shown.body.toString())).toMatchObject({ ID: made.id, ServiceID: id, Slot: 1 })
  expect((await get(`/tasks/${freshId()}`)).status).toBe(404)
}, 30_000)

test("a node that forgot its readers is asked again, and no line is lost or repeated", async () => {
  const name = uniqueName("again")
  const id = await service(name)
  await task(id, 1, "i=0; while :; do echo number $i; i=$((i+1)); sleep 0.02; done")
  const follower = follow(["--raw", name])
  const numbers = (): Array<number> =>
    [...follower.text().matchAll(/number (\d+)\n/g)].map((match) => Number(match[1]))
  for (let times = 1; times <= 3; times++) {
    const before = numbers().length
    await eventually(() => numbers().length > before + 20, "numbers come")
    expect(gateway.system.restart(address(nodeId, "logs", "main"))).toBe(true)
  }
  const before = numbers().length
  await eventually(() => numbers().length > before + 20, "numbers come again")
  expect(numbers()).toEqual(numbers().map((_, at) => at))
}, 60_000)

test("a follower that leaves is forgotten by the node", async () => {
  const name = uniqueName("leaving")
  const id = await service(name)
  await task(id, 1, "while :; do echo on; sleep 0.1; done")
  const summary = (): string =>
    JSON.stringify(gateway.system.trees()).match(/(\d+) logs being read/)?.[1] ?? "none"
  await eventually(() => summary() === "0", "the readers of other tests are gone")
  const follower = follow([name])
  await eventually(() => follower.text().includes("| on"), "lines come")
  expect(Number(summary())).toBe(1)
  follower.child.kill("SIGKILL")
  await eventually(() => summary() === "0", "the node forgets the reader")
}, 30_000)

test("a log that nobody reads fast is not gathered in memory", async () => {
  const name = uniqueName("much")
  const id = await service(name)
  // 50,000 lines of 101 bytes, and a client that takes only the beginning.
  const made = await task(id, 1, `yes ${"x".repeat(100)} | head -n 50000`)
  await isOver(made)
  const handled = (): number =>
    Number(/"kind":"logs"[^}]*}[^}]*?"handled":(\d+)/.exec(JSON.stringify(gateway.system.trees()))?.[1])
  const before = handled()
  const request = http.get({ socketPath: gateway.socket as string, path: `/services/${name}/logs?stdout=1` })
  const response = await new Promise<http.IncomingMessage>((resolve) => request.on("response", resolve))
  response.pause()
  let asked = -1
  while (asked !== handled()) {
    asked = handled()
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  // The node is not asked any more, and has most of the log yet to give.
  const stalled = handled() - before
  let size = 0
  response.on("data", (part: Buffer) => {
    size += part.length
  })
  response.resume()
  await new Promise((resolve) => response.on("end", resolve))
  expect(size).toBe(50_000 * 109)
  expect(handled() - before).toBeGreaterThan(stalled + 50)
}, 60_000)

test("DI-24 what cannot be read is named at the end, as Swarm does", async () => {
  const name = uniqueName("gone")
  const id = await service(name)
  await isOver(await task(id, 1, "echo here"))
  const lostNode = "lostnodeabcdefghijklmnopq"
  await gateway.cluster.write({
    type: "node.register",
    v: 1,
    node: { ID: lostNode, Spec: { Role: "worker", Availability: "active" }, Status: { State: "ready" } }
  })
  await gateway.cluster.write({
    type: "node.observe",
    v: 1,
    nodes: [{ id: lostNode, status: { State: "down" } }]
  })
  await gateway.cluster.write({
    type: "tasks.change",
    v: 1,
    create: [
      {
        ID: freshId(),
        ServiceID: id,
        SpecVersion: 1,
        Slot: 2,
        NodeID: lostNode,
        DesiredState: "running",
        Status: { Timestamp: "", State: "running", ContainerStatus: { ContainerID: "gone" } }
      }
    ],
    update: [],
    remove: []
  })
  const result = await docker(gateway.host, ["service", "logs", name])
  expect(result.text).toContain("| here")
  expect(result.stderr).toContain(
    `warning: incomplete log stream. some logs could not be retrieved for the following reasons: node ${lostNode} is not available`
  )
}, 30_000)

test("requests that make no sense are refused in the Engine's words", async () => {
  const name = uniqueName("bad")
  await service(name)
  const message = async (path: string): Promise<string> => {
    const { status, body } = await get(path)
    return `${status} ${JSON.parse(body.toString()).message}`
  }
  expect(await message(`/services/${name}/logs`)).toBe(
    "400 Bad parameters: you must choose at least one stream"
  )
  expect(await message("/services/nosuch/logs?stdout=1")).toBe("404 service nosuch not found")
  expect(await message("/tasks/nosuch/logs?stdout=1")).toBe("404 task nosuch not found")
  expect(await message(`/services/${name}/logs?stdout=1&tail=-1`)).toBe(
    "400 negative tail values not supported"
  )
}, 30_000)
