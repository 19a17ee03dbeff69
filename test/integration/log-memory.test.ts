/** What a node remembers of its tasks' output, with the real docker CLI and a real Engine. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { spawn } from "node:child_process"
import http from "node:http"
import type { AddressInfo } from "node:net"
import process from "node:process"
import type { PublishedLines } from "#actors/logs/publish/protocol.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { clientOf } from "#test/support/nats-client.ts"

setDefaultTimeout(60_000)
let cluster: Cluster

/** What a collector of metrics and traces is sent, by path. */
const collected = new Map<string, string>()
const collector = http.createServer((request, response) => {
  let text = ""
  request.on("data", (part) => {
    text += part
  })
  request.on("end", () => {
    const path = request.url ?? ""
    collected.set(path, (collected.get(path) ?? "") + text)
    response.end("{}")
  })
})

beforeAll(async () => {
  await ensureTestImage()
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve))
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/`
  cluster = await startCluster({
    args: ["--log-memory", "8", "--log-rate", "500", "--otlp-endpoint", endpoint]
  })
}, 90_000)
afterAll(async () => {
  await cluster?.cleanUp()
  collector.close()
}, 60_000)

/** Gives the id of its one task, once that has a container. */
async function create(name: string, script: string, more: ReadonlyArray<string> = []): Promise<string> {
  await cluster.must(
    ...["service", "create", "--detach", "--no-resolve-image", "--name", name, "--restart-delay", "0s"],
    ...["--stop-grace-period", "1s", ...more, testImage, "sh", "-c", script]
  )
  await eventually(async () => (await containerOf(name)) !== "", "its container is there")
  return (await tasksOf(name))[0]?.ID ?? ""
}

interface TaskJson {
  readonly ID: string
  readonly DesiredState: string
  readonly Status: { readonly ContainerStatus?: { readonly ContainerID: string } }
}
const tasksOf = (service: string): Promise<ReadonlyArray<TaskJson>> =>
  cluster.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`)
const containerOf = async (service: string): Promise<string> =>
  (await tasksOf(service))[0]?.Status.ContainerStatus?.ContainerID ?? ""

/** Both streams, as they are, line by line. */
async function logs(...args: ReadonlyArray<string>): Promise<ReadonlyArray<string>> {
  const { code, text, stderr } = await cluster.docker("service", "logs", "--raw", ...args)
  if (code !== 0) throw new Error(stderr)
  return [...text.split("\n"), ...stderr.split("\n")].filter((line) => line !== "")
}
const range = (from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from }, (_, at) => `n${from + at}`)

test("a task's log is read when its container is gone, by service and by task, with its tail, since and until", async () => {
  const id = await create(
    "gone",
    "for i in 0 1 2 3 4; do echo n$i; done; sleep 0.1; echo wrong >&2; exec sleep 1000"
  )
  const container = engine().getContainer(await containerOf("gone"))
  await eventually(async () => (await logs("gone")).length === 6, "all is written")
  await container.remove({ force: true })
  await eventually(async () => (await tasksOf("gone")).length === 2, "the task is replaced")
  expect(await logs(id)).toEqual([...range(0, 5), "wrong"])
  expect(await logs("--tail", "2", id)).toEqual(["n4", "wrong"])
  expect(await logs("--since", "1h", id)).toHaveLength(6)
  // A follower of a task that is over comes back.
  expect(await logs("-f", id)).toHaveLength(6)
  const past = Math.floor(Date.now() / 1000) - 3_600
  expect((await cluster.api("GET", `/tasks/${id}/logs?stdout=1&until=${past}`)).body).toBe("")
  const named = await cluster.must("service", "logs", "--timestamps", id)
  expect(named).toMatch(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z gone\.1\.\w{12}@\S+ +\| n0$/m)
  // Both lives of the slot, each once.
  await eventually(async () => (await logs("gone")).length === 12, "the service's log has both")
})

test("a daemon that is killed loses no line and keeps none twice", async () => {
  const id = await create("count", "i=0; while :; do echo n$i; i=$((i+1)); sleep 0.005; done")
  const seen = async () => (await logs(id)).length
  await eventually(async () => (await seen()) > 50, "it counts")
  await cluster.kill9()
  await cluster.restart()
  const before = await seen()
  await eventually(async () => (await seen()) > before + 50, "it counts on")
  await engine()
    .getContainer(await containerOf("count"))
    .remove({ force: true })
  await eventually(async () => (await tasksOf("count")).length === 2, "the task is replaced")
  const kept = await logs(id)
  expect(kept.length).toBeGreaterThan(before + 50)
  expect(kept).toEqual(range(0, kept.length))
  await cluster.must("service", "rm", "count")
})

test("a flood is kept up to its rate, and a line says what was left out", async () => {
  const id = await create("flood", "yes | head -n 20000; echo end; exec sleep 1000")
  const container = engine().getContainer(await containerOf("flood"))
  await eventually(
    async () => (await container.logs({ stdout: true, stderr: true, tail: 1 })).includes("end"),
    "it has written everything"
  )
  // Read from the memory, which has then caught up: the Engine would give all of it.
  await eventually(async () => (await logs(id)).length <= 10_010, "the node has read everything")
  await container.remove({ force: true })
  const note = /^troupe: (\d+) lines left out here: more than 500 a second$/
  const leftOut = (lines: ReadonlyArray<string>): number =>
    lines.reduce((sum, line) => sum + Number(note.exec(line)?.[1] ?? 0), 0)
  await eventually(async () => leftOut(await logs(id)) > 0, "what was left out is said")
  const kept = await logs(id)
  expect(kept.filter((line) => line === "y" || line === "end").length + leftOut(kept)).toBe(20_001)
})

test("another system hears over NATS what tasks write whose service asks for it, as long as it does", async () => {
  const connection = await clientOf(cluster)
  try {
    const heard: Array<PublishedLines> = []
    connection.subscribe("troupe.log.v1.>", {
      callback: (_error, message) => {
        heard.push(JSON.parse(message.string()))
      }
    })
    await connection.flush()
    const count = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done"
    const quiet = await create("quiet", count)
    await cluster.must(
      ...[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "told",
        "--label",
        "troupe.log.publish=true"
      ],
      ...[
        testImage,
        "sh",
        "-c",
        "echo first >&2; trap 'echo last; exit' TERM; while :; do sleep 1 & wait; done"
      ]
    )
    const of = (service: string) => heard.filter(({ serviceName }) => serviceName === service)
    const linesOf = (service: string) =>
      of(service).flatMap(({ lines }) => lines.map(({ stream, text }) => `${stream} ${text}`))
    await eventually(() => linesOf("told").includes("stderr first"), "the first line is heard")
    const id = (await tasksOf("told"))[0]?.ID ?? ""
    expect(of("told")[0]).toMatchObject({ task: id, name: `told.1.${id}`, node: cluster.nodeId, seq: 1 })
    await cluster.must("service", "rm", "told")
    await eventually(() => linesOf("told").includes("stdout last"), "the last line is heard, too")
    expect(linesOf("told")).toEqual(["stderr first", "stdout last"])
    // A label that comes later is heard of by tasks that run, and by none that it is not for.
    await cluster.must("service", "update", "--detach", "--label-add", "troupe.log.publish=true", "quiet")
    await eventually(() => linesOf("quiet").length > 2, "it is heard from then on")
    expect(linesOf("quiet")).not.toContain("stdout line 1")
    expect((await tasksOf("quiet"))[0]?.ID).toBe(quiet)
    await cluster.must("service", "update", "--detach", "--label-rm", "troupe.log.publish", "quiet")
  } finally {
    await connection.close()
  }
})

test("tasks that the cluster has forgotten are read as well: of their service, by their own ids, and without a service", async () => {
  const id = await create("past", "echo was here; exec sleep 1000")
  await eventually(async () => (await logs("past")).length === 1, "it has written")
  await cluster.must("service", "scale", "--detach", "past=0")
  await eventually(async () => (await tasksOf("past")).length === 0, "the cluster has forgotten its task")
  expect(await cluster.must("service", "logs", "past")).toMatch(
    new RegExp(`^past\\.1\\.${id.slice(0, 12)}@\\S+ +\\| was here$`)
  )
  expect(await logs(id)).toEqual(["was here"])
  await cluster.must("service", "rm", "past")
  expect(await logs(id.slice(0, 14))).toEqual(["was here"])
  const { code, stderr } = await cluster.docker("service", "logs", "nosuchtask")
  expect(code).toBe(1)
  expect(stderr.trim()).toBe("no such task or service: nosuchtask")
})

test("troupe logs searches several services at once, in order of time, also where containers are gone", async () => {
  const json = `echo '{"level":"warn","at":{"n":'$i'}}'`
  const first = await create("one", `for i in 1 2 3; do ${json}; sleep 0.05; done; exec sleep 1000`)
  const second = await create("two", `for i in 4 5 6; do ${json}; sleep 0.05; done; exec sleep 1000`)
  for (const id of [first, second])
    await eventually(async () => (await logs(id)).length === 3, "all is written")
  await engine()
    .getContainer(await containerOf("one"))
    .remove({ force: true })
  const troupe = async (...args: ReadonlyArray<string>) =>
    (await cluster.troupeAnywhere("logs", "--socket", cluster.socket, ...args)).trim().split("\n")
  const lines = (await troupe("--json", "--task", first.slice(0, 10), "one")).map((line) => JSON.parse(line))
  expect(lines.map(({ service, task, name, text }) => [service, task, name, JSON.parse(text).at.n])).toEqual(
    [1, 2, 3].map((n) => ["one", first, `one.1.${first.slice(0, 12)}`, n])
  )
  const both = (await troupe("--json", "one", "two")).map((line) => JSON.parse(line).time as string)
  expect(both.length).toBeGreaterThanOrEqual(6)
  expect(both).toEqual([...both].sort())
  expect(await troupe("--field", "at.n=5", "--grep", "warn", "--since", "1h", "one", "two")).toEqual([
    expect.stringMatching(
      new RegExp(`^two\\.1\\.${second.slice(0, 12)}@\\S+ \\| \\{"level":"warn","at":\\{"n":5\\}\\}$`)
    )
  ])
  await expect(troupe("--since", "soon", "one")).rejects.toThrow("--since 'soon': expected 10m")
  await expect(troupe("nosuch")).rejects.toThrow("service nosuch not found")
  for (const follow of [[], ["--follow"]]) {
    await expect(troupe(...follow, "--node", "nosuch", "one")).rejects.toThrow(
      "--node 'nosuch': no node is called so, nor begins its id so"
    )
    await expect(troupe(...follow, "--task", "two.1", "one")).rejects.toThrow(
      "--task 'two.1': no task of one is called so, nor begins its id so"
    )
  }
  expect(await troupe("--task", `two.1.${second}`, "--tail", "1", "one", "two")).toHaveLength(1)
})

test("troupe logs shows long lines whole, and last words without an end, also those of a terminal", async () => {
  const fill = "head -c 40000 /dev/zero | tr '\\0' x"
  const script = `printf '{"level":"error","trace":"'; ${fill}; printf '"}\\n'; printf 'last words'`
  const once = ["--restart-condition", "none"]
  await create("long", script, once)
  await create("terminal", script, [...once, "--tty"])
  const troupe = async (...args: ReadonlyArray<string>) =>
    (await cluster.troupeAnywhere("logs", "--socket", cluster.socket, "--json", ...args))
      .trim()
      .split("\n")
      .map((line): string => JSON.parse(line).text)
  for (const name of ["long", "terminal"]) {
    const all = async () => (await cluster.docker("service", "logs", "--raw", name)).text
    await eventually(async () => (await all()).includes("last words"), "all is written")
    expect(await troupe(name)).toEqual([
      JSON.stringify({ level: "error", trace: "x".repeat(40_000) }),
      "last words"
    ])
    expect(await troupe("--field", "level=error", name)).toHaveLength(1)
  }
})

test("troupe logs --follow outlives the daemon, and shows no line twice", async () => {
  await create("tick", "i=0; while :; do echo n$i; i=$((i+1)); sleep 0.02; done")
  const child = spawn(process.execPath, ["cli/main.ts", "logs", "--socket", cluster.socket, "-f", "tick"])
  let text = ""
  child.stdout.on("data", (part) => {
    text += String(part)
  })
  const numbers = () => [...text.matchAll(/\| (n\d+)\n/g)].map(([, number = ""]) => number)
  try {
    await eventually(() => numbers().length > 20, "it follows")
    await cluster.kill9()
    await cluster.restart()
    const before = numbers().length
    await eventually(() => numbers().length > before + 50, "it goes on")
    const seen = numbers()
    expect(seen).toEqual([...range(0, seen.length)])
  } finally {
    child.kill("SIGKILL")
  }
})

interface ChangeJson {
  readonly Sequence: string
  readonly Kind: string
  readonly Action: string
  readonly ID: string
  readonly Who: string
  readonly Why: string
  readonly Changed: ReadonlyArray<{
    readonly Field: string
    readonly Before?: unknown
    readonly After?: unknown
  }>
}

test("troupe history tells who changed what and why, of what is gone and of before a start, and a follower goes on from where it was", async () => {
  const troupe = (...args: ReadonlyArray<string>) =>
    cluster.troupeAnywhere("history", "--socket", cluster.socket, ...args)
  const changes = async (...args: ReadonlyArray<string>): Promise<ReadonlyArray<ChangeJson>> =>
    (await troupe("--json", ...args))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
  const watching = new AbortController()
  let stream = ""
  const listen = async (lastSeen: string): Promise<void> => {
    const answer = await fetch("http://docker/history?follow=1&kind=config", {
      unix: cluster.socket,
      headers: { "Last-Event-ID": lastSeen },
      signal: watching.signal
    })
    if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`)
    const decoder = new TextDecoder()
    for await (const part of answer.body as ReadableStream<Uint8Array>) stream += decoder.decode(part)
  }
  const config = (name: string) => cluster.api("POST", "/configs/create", { Name: name, Data: "YQ==" })
  const heard = () => [...stream.matchAll(/"Name":"(told-\d)"/g)].map(([, name]) => name)

  const id = await create("storied", "exec sleep 1000")
  await cluster.must("service", "scale", "--detach", "storied=2")
  await cluster.must("service", "rm", "storied")
  await config("told-0")
  const [told] = await changes("told-0")
  const before = { service: await changes("storied"), events: "" }
  const events = async () =>
    (await cluster.docker("events", "--since", "1h", "--until", "0s", "--filter", "type=service")).text
      .split("\n")
      .filter((line) => line.includes("storied"))
  // The CLI names whole seconds: what is of this one comes a second later.
  await eventually(async () => (await events()).some((line) => line.includes("remove")), "all has passed")
  const eventsBefore = await events()
  expect(eventsBefore.length).toBeGreaterThanOrEqual(3)
  await cluster.kill9()
  await cluster.restart()

  const service = await changes("storied")
  expect(service).toEqual([...before.service])
  expect(service.map(({ Action }) => Action)).toEqual([
    "create",
    ...service.slice(2).map(() => "update"),
    "remove"
  ])
  const scaled = service.find(({ Changed }) =>
    Changed.some(({ Field }) => Field === "Spec.Mode.Replicated.Replicas")
  )
  expect(scaled).toMatchObject({
    Who: "local",
    Why: expect.stringMatching(/^POST \/services\/\w{25}\/update$/),
    Changed: expect.arrayContaining([{ Field: "Spec.Mode.Replicated.Replicas", Before: 1, After: 2 }])
  })
  expect(await events()).toEqual(eventsBefore)
  expect((await changes("--kind", "task", id.slice(0, 12))).map(({ ID }) => ID)).toContain(id)
  expect((await changes("--tasks", service[0]?.ID ?? "")).some(({ ID }) => ID === id)).toBe(true)
  expect(await troupe("storied")).toMatch(
    /service storied changed {3}by local: POST .*\n {4}Spec\.Mode\.Replicated\.Replicas: 1 → 2\n/
  )
  await expect(troupe("never-was")).rejects.toThrow("no object is or was called never-was")
  await expect(troupe("--kind", "pod", "storied")).rejects.toThrow("invalid kind pod: expected service")

  // Who knew the last change of before the start is told all that came after it, and of nothing twice.
  await config("told-1")
  const following = listen(told?.Sequence ?? "").catch(() => {})
  try {
    await eventually(() => heard().length === 1, "what came meanwhile is told")
    await config("told-2")
    await eventually(() => heard().length === 2, "what comes is told")
    expect(heard()).toEqual(["told-1", "told-2"])
  } finally {
    watching.abort()
    await following
  }
  const answer = await cluster.api("GET", "/history?after=0.1")
  expect(answer.status).toBe(410)
})

test("a collector that is configured gets the node's figures and spans of what it was asked", async () => {
  const got = (path: string): string => collected.get(path) ?? ""
  expect((await cluster.api("POST", "/configs/create", { Name: "seen", Data: "YQ==" })).status).toBe(201)
  await eventually(() => got("/v1/traces").includes('"POST /configs/create"'), "spans come")
  await eventually(() => got("/v1/metrics").includes('"troupe_actor_decide_seconds"'), "figures come")
  expect(got("/v1/traces")).toContain('"ledger.propose"')
  expect(got("/v1/metrics")).toContain(cluster.nodeId)
})
