/** Consoles of the dashboard over the whole gateway, in containers of a real Engine. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { taskLabel } from "#actors/drivers/labels.ts"
import { createToken, removeToken } from "#actors/gateway/access/tokens.ts"
import { featureLevel, levelOf } from "#actors/ledger/features.ts"
import { ConsoleClient, type ConsoleOptions, type SignedIn, signInBy } from "#test/support/console-client.ts"
import { cleanUp, engine, ensureTestImage, eventually, testImage, uniqueName } from "#test/support/engine.ts"
import { nodeId } from "#test/support/gateway.ts"
import { type OpenTestGateway, openTestGateway } from "#test/support/open-gateway.ts"

const label = uniqueName("console")
const taskId = "0taskabcdefghijklmnopqrst"
const farId = "2taskabcdefghijklmnopqrst"
/** Of this node, with a health check. */
const wellId = "5taskabcdefghijklmnopqrst"
/** Of a node that does not answer. */
const deafId = "6taskabcdefghijklmnopqrst"
const deafNode = "deaf0abcdefghijklmnopqrst"
const oldId = "3taskabcdefghijklmnopqrst"
const wrongId = "4taskabcdefghijklmnopqrst"
const oldNode = "old0abcdefghijklmnopqrstu"
const farNode = "far0abcdefghijklmnopqrstu"
const lostId = "1taskabcdefghijklmnopqrst"
let gateway: OpenTestGateway
let container = ""
let operator: SignedIn

beforeAll(async () => {
  await ensureTestImage()
  gateway = await openTestGateway({ http: "127.0.0.1:0", far: farNode })
  container = await start(taskId)
  const Healthcheck = { Test: ["CMD-SHELL", "echo well"], Interval: 2e8, Timeout: 5e9, Retries: 3 }
  const farContainer = await start(farId, { Healthcheck })
  const wellContainer = await start(wellId, { Healthcheck })
  const ServiceID = "0serviceabcdefghijklmnopq"
  const Spec = {
    Name: "web",
    Mode: { Replicated: { Replicas: 1 } },
    TaskTemplate: { ContainerSpec: { Image: testImage } }
  }
  const { cluster } = gateway
  await cluster.write({ type: "service.create", v: 1, service: { ID: ServiceID, SpecVersion: 1, Spec } })
  const described = {
    Platform: {},
    Resources: { NanoCPUs: 1e9, MemoryBytes: 1e9 },
    Engine: { EngineVersion: "test" }
  }
  for (const [ID, Hostname, more] of [
    [farNode, "far", { FeatureLevel: featureLevel }],
    [deafNode, "deaf", { FeatureLevel: featureLevel }],
    [oldNode, "old", { FeatureLevel: levelOf.consoles - 1 }]
  ] as const)
    await cluster.write({
      type: "node.register",
      v: 1,
      node: {
        ID,
        Spec: { Role: "worker", Availability: "active" },
        Description: { ...described, Hostname, ...more },
        Status: { State: "ready" }
      }
    })
  const runs = (ID: string, Slot: number, NodeID: string, ContainerID: string) =>
    ({
      ...{ ID, ServiceID, SpecVersion: 1, Slot, NodeID, DesiredState: "running" as const },
      Status: { Timestamp: "2026-11-22T21:01:31Z", State: "running", ContainerStatus: { ContainerID } }
    }) as const
  const lost = runs(lostId, 2, nodeId, "")
  const create = [
    runs(taskId, 1, nodeId, container),
    { ...lost, Status: { ...lost.Status, State: "preparing" } as const },
    runs(farId, 3, farNode, farContainer),
    runs(oldId, 4, oldNode, farContainer),
    runs(wellId, 6, nodeId, wellContainer),
    runs(deafId, 7, deafNode, wellContainer),
    // As its node says, which may be mistaken.
    runs(wrongId, 5, farNode, container)
  ]
  await cluster.write({ type: "tasks.change", v: 1, create, update: [], remove: [] })
  operator = await signIn("operator")
}, 60_000)
afterAll(async () => {
  await gateway.close()
  await cleanUp(label)
}, 60_000)

/** A container as the node makes it for that task. */
async function start(task: string, more: object = {}): Promise<string> {
  const made = await engine().createContainer({
    Image: testImage,
    Cmd: ["sleep", "1000"],
    Labels: { [label]: "1", [taskLabel]: task },
    HostConfig: { NetworkMode: "none" },
    ...more
  })
  await made.start()
  return made.id
}

async function signIn(role: string): Promise<SignedIn> {
  const link = await fetch("http://local/dashboard/links", {
    unix: gateway.socket as string,
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ role })
  })
  return await signInBy(((await link.json()) as { url: string }).url)
}

const open = (options: ConsoleOptions = {}, by = operator, id = taskId): ConsoleClient =>
  new ConsoleClient(by, id, options)

/** What the container runs beside its own program, as `ps` shows it. */
async function running(): Promise<ReadonlyArray<string>> {
  const { Processes } = await engine().getContainer(container).top()
  return Processes.map((fields: ReadonlyArray<string>) => fields.at(-1) ?? "").filter(
    (command: string) => command !== "sleep 1000"
  )
}

const noted = (): ReadonlyArray<Record<string, unknown>> =>
  readFileSync(join(gateway.folder, "audit.log"), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

/** The Engine sizes a terminal once the process is there, so that a shell may begin before. */
const hasSize = (console: ConsoleClient, size: string): Promise<void> =>
  eventually(() => {
    console.type("stty size\n")
    return console.text.includes(size)
  }, `the terminal has the size ${size}`)

/** One that was opened with 101 columns and 37 rows. */
async function isResizedAndEnds(console: ConsoleClient): Promise<void> {
  await hasSize(console, "37 101")
  console.say({ columns: 60, rows: 20 })
  await hasSize(console, "20 60")
  console.type("exit 7\n")
  expect(await console.ended()).toBe(1000)
  expect(console.words).toEqual({ ended: { exitCode: 7 } })
}

test("a shell in the container echoes, has the page's size and the next one, and says how it ended", async () => {
  const console = open({ columns: 101, rows: 37 })
  console.type("echo $((6 * 7)) in $(tty)\n")
  await console.seen(/42 in \/dev\/pts\/\d/)
  await isResizedAndEnds(console)
}, 30_000)

test("a command is run as it stands, word by word, and the audit has it with who and where", async () => {
  const command = ["/bin/sh", "-c", 'echo "$0 $1"', "it's", "a b"]
  const console = open({ command })
  await console.ended()
  expect(console.text.trim()).toBe("it's a b")
  const did = `docker exec -it web.1.${taskId} /bin/sh -c 'echo "$0 $1"' 'it'\\''s' 'a b'`
  await eventually(() => noted().some((line) => line.did === did), "it is in the audit")
  expect(noted().find((line) => line.did === did)).toMatchObject({
    who: "local",
    role: "operator",
    method: "GET",
    path: `/dashboard/exec/${taskId}`,
    status: 101
  })
}, 30_000)

test("what a health check said is told of tasks of this node and of others, as long as their containers are there", async () => {
  const viewer = await signIn("viewer")
  const health = async (id: string) => {
    const answer = await fetch(`${viewer.url}/dashboard/health/${id}`, { headers: { cookie: viewer.cookie } })
    const body = (await answer.json()) as { Status?: string; Log?: ReadonlyArray<object>; message?: string }
    return { status: answer.status, body }
  }
  for (const id of [wellId, farId]) {
    await eventually(async () => (await health(id)).body.Status === "healthy", `${id} is healthy`)
    expect((await health(id)).body.Log?.[0]).toEqual({
      End: expect.stringMatching(/^\d{4}-/),
      ExitCode: 0,
      Output: "well\n"
    })
  }
  expect(await health(taskId)).toEqual({ status: 200, body: { Log: [] } })
  expect(await health(wrongId)).toMatchObject({
    status: 404,
    body: { message: expect.stringContaining("its container is gone") }
  })
  expect(await health(oldId)).toMatchObject({
    status: 400,
    body: {
      message: expect.stringMatching(
        /^node old of task web\.4\.\w+: expected one of this release; upgrade it$/
      )
    }
  })
  expect(await health(deafId)).toMatchObject({
    status: 503,
    body: { message: expect.stringMatching(/^Cannot reach node deaf: /) }
  })
  expect((await health(lostId)).body.message).toContain("is preparing: expected one that has a container")
  expect((await health("nobody")).status).toBe(404)
}, 30_000)

test("a task of another node has consoles as one of this node has", async () => {
  const console = open({ columns: 101, rows: 37 }, operator, farId)
  await isResizedAndEnds(console)
}, 30_000)

test("a container that is not the task's is not opened, whoever says that it is", async () => {
  const console = open({}, operator, wrongId)
  await console.ended()
  expect(console.words).toEqual({ problem: `task ${wrongId} has no container ${container} here` })
})

test("a page that is closed hangs up on the shell, and on what runs in front of it", async () => {
  const console = open()
  console.type("trap 'echo hung up >/tmp/said; exit' HUP; sleep 777\n")
  await eventually(async () => (await running()).includes("sleep 777"), "the shell runs something")
  console.socket.close()
  await eventually(async () => (await running()).length === 0, "nothing of the console is left")
  const after = open({ command: ["cat", "/tmp/said"] })
  await after.ended()
  expect(after.text.trim()).toBe("hung up")
}, 30_000)

test("what is deaf to hanging up is killed, and a page that vanished is as good as closed", async () => {
  const console = open({ command: ["/bin/sh", "-c", "trap '' HUP; echo deaf; while :; do sleep 0.1; done"] })
  await console.seen("deaf")
  ;(console.socket as unknown as { terminate: () => void }).terminate()
  await eventually(async () => (await running()).length === 0, "nothing of the console is left")
}, 30_000)

test("without the session's secret, from another origin, and for a viewer there is none", async () => {
  const viewer = await signIn("viewer")
  const refused: ReadonlyArray<readonly [ConsoleOptions, SignedIn?, string?]> = [
    [{ protocols: [] }],
    [{ protocols: [`troupe-csrf.${"x".repeat(operator.csrf.length)}`] }],
    [{ protocols: [`troupe-csrf.${viewer.csrf}`] }],
    [{ headers: { origin: "http://evil.example" } }],
    [{ headers: { cookie: "" } }],
    [{}, viewer],
    [{}, operator, "nosuchtask"],
    [{}, operator, lostId]
  ]
  const turnedAway = () =>
    noted().filter(({ path, status }) => String(path).startsWith("/dashboard/exec/") && status !== 101)
  for (const [options, by, id] of refused) {
    const console = open(options, by, id)
    await console.ended()
    expect([options, console.opened]).toEqual([options, false])
  }
  await eventually(() => turnedAway().length === refused.length, "all of it is in the audit")
  expect(turnedAway().map(({ who, status, refused: why }) => [who, status, why])).toEqual([
    ["local", 403, "the request does not carry the session's own troupe-csrf header"],
    ["local", 403, "the request does not carry the session's own troupe-csrf header"],
    ["local", 403, "the request does not carry the session's own troupe-csrf header"],
    ["local", 403, "the request was sent by a page of another origin"],
    ["nobody", 401, expect.stringContaining("authorization required")],
    ["local", 403, `local is viewer: GET /dashboard/exec/${taskId} is for the role operator and above`],
    ["local", 404, undefined],
    ["local", 400, undefined]
  ] as never)
  expect(await running()).toEqual([])
}, 30_000)

test("a page asks first whether there is one, and is told why not", async () => {
  const ask = async (by: SignedIn, id: string) => {
    const answer = await fetch(`${by.url}/dashboard/exec/${id}`, { headers: { cookie: by.cookie } })
    return [answer.status, await answer.json()]
  }
  expect(await ask(operator, taskId)).toEqual([
    200,
    { nodeId, task: taskId, container, name: `web.1.${taskId}` }
  ])
  expect(await ask(operator, lostId)).toEqual([
    400,
    { message: `task web.2.${lostId} is preparing: expected one that runs` }
  ])
  expect((await ask(operator, farId))[0]).toBe(200)
  expect(await ask(operator, oldId)).toEqual([
    400,
    { message: `node old of task web.4.${oldId}: expected one of this release; upgrade it` }
  ])
  expect((await ask(await signIn("viewer"), taskId))[0]).toBe(403)
})

test("what is printed waits for a page that draws slowly, and comes whole", async () => {
  const console = open({ command: ["/bin/sh", "-c", "stty -echo; yes | head -c 1000000"], takes: false })
  await eventually(() => console.printed >= 256 * 1024, "as much has come as may")
  // Words to the gateway and back: more would have come meanwhile.
  for (let turn = 1; turn <= 50; turn++) {
    console.type("\n")
    await eventually(() => console.taken === turn, "the gateway has its turn")
  }
  // Each part is one read of the Engine's stream, of 64 KiB at most.
  expect(console.printed).toBeLessThan((256 + 64) * 1024)
  expect(console.words).toBeUndefined()
  let said = 0
  while (console.words === undefined) {
    if (console.printed > said) console.say({ taken: console.printed - said })
    said = console.printed
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  // The terminal makes two characters of each end of line.
  expect(console.printed).toBe(1_500_000)
}, 30_000)

test("what is typed is counted as it is taken, and who sends far ahead of that is cut off", async () => {
  const console = open({ command: ["/bin/sh", "-c", "stty raw -echo; echo ready; head -c 100000 | wc -c"] })
  await console.seen("ready")
  for (let sent = 0; sent < 100_000; sent += 20_000) {
    console.type("x".repeat(20_000))
    await eventually(() => console.taken === sent + 20_000, "it is taken")
  }
  await console.seen("100000")
  const rude = open({ command: ["/bin/sh", "-c", "stty raw -echo; echo ready; sleep 1000"] })
  await rude.seen("ready")
  for (let part = 0; part < 40; part++) rude.type("x".repeat(60_000))
  expect(await rude.ended()).toBe(1009)
  await eventually(async () => (await running()).length === 0, "nothing of the console is left")
}, 30_000)

test("words that are none end it, as does a program that is not there", async () => {
  const console = open()
  await eventually(() => console.opened, "it is open")
  console.say({ columns: 0, rows: 10 })
  expect(await console.ended()).toBe(1008)
  const none = open({ command: ["/no/such/program"] })
  await none.ended()
  expect(none.text).toContain("/no/such/program")
  expect(none.words).toEqual({ ended: { exitCode: 126 } })
}, 30_000)

test("a token that is taken back ends the consoles that it opened", async () => {
  const token = createToken(gateway.folder, "otto", "operator")
  const entered = await fetch(`${gateway.url}/dashboard/session`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` }
  })
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? ""
  const { csrf } = (await (
    await fetch(`${gateway.url}/dashboard/session`, { headers: { cookie } })
  ).json()) as { readonly csrf: string }
  const console = open({}, { url: gateway.url as string, cookie, csrf })
  await eventually(async () => (await running()).length === 1, "the shell runs")
  removeToken(gateway.folder, "otto")
  expect(await console.ended()).toBe(1008)
  expect(console.words).toEqual({ problem: "whoever opened it is not signed in any more" })
  await eventually(async () => (await running()).length === 0, "nothing of the console is left")
}, 40_000)

test("a gateway that ends takes its consoles with it", async () => {
  const console = open()
  console.type("sleep 777\n")
  await eventually(async () => (await running()).includes("sleep 777"), "the shell runs something")
  await gateway.close()
  await eventually(async () => (await running()).length === 0, "nothing of the console is left")
  await console.ended()
}, 30_000)
