/** Losing a server: it dies, freezes, leaves in order, comes back. Three real ones joined by routes. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { spawn } from "node:child_process"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Scope } from "effect"
import { type NatsOptions, type NatsTransportService, natsTransport } from "#runtime/transport/nats.ts"
import type { CallOutcome, Delivery, TransportStatus } from "#runtime/transport.ts"
import { type NatsServer, startNatsCluster, until } from "#test/support/nats-server.ts"

let servers: ReadonlyArray<NatsServer>
let scope: Scope.Closeable

beforeAll(async () => {
  servers = await startNatsCluster(
    3,
    'write_deadline: "1s"\nlame_duck_duration: "30s"\nlame_duck_grace_period: "10s"\nmax_pending: 4000000\n'
  )
}, 60_000)
afterAll(() => Promise.all(servers.map((server) => server.close())))

afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  scope = Scope.makeUnsafe()
  for (const server of servers) server.signal("SIGCONT")
})
scope = Scope.makeUnsafe()

const server = (index: number): NatsServer => servers[index] as NatsServer
const at = (index: number): string => `127.0.0.1:${server(index).port}`

/** A client whose home is the server of that number, and who knows the others. */
const connect = (
  nodeId: string,
  home: number,
  options: Partial<NatsOptions> = {}
): Promise<NatsTransportService> => {
  const urls = [0, 1, 2].map((i) => server((home + i) % 3).url)
  const { user, password } = server(0)
  return Effect.runPromise(
    natsTransport({ servers: urls, inOrder: true, nodeId, user, password, ...options }).pipe(
      Scope.provide(scope)
    )
  )
}

const call = (
  transport: NatsTransportService,
  subject: string,
  body = "?",
  withinMs = 5_000
): Promise<CallOutcome> =>
  new Promise((resolve) => {
    transport.call(subject, {}, Buffer.from(body), withinMs, resolve)
  })
const answers = async (transport: NatsTransportService, subject: string): Promise<boolean> =>
  !("_tag" in (await call(transport, subject, "?", 500)))
const echo = (transport: NatsTransportService, subject: string): void => {
  transport.subscribe(subject, {}, (delivery) => delivery.respond?.({}, delivery.body))
}
const statusesOf = (transport: NatsTransportService): TransportStatus[] => {
  const statuses: TransportStatus[] = []
  transport.onStatus((status) => statuses.push(status))
  return statuses
}

test("clients of different servers reach each other; when one's server is killed, it goes on at another and comes home", async () => {
  const [near, far] = [await connect("n1", 0), await connect("n2", 1)]
  expect([near.server(), far.server()]).toEqual([at(0), at(1)])
  echo(far, "echo.far")
  echo(near, "echo.near")
  await until(() => answers(near, "echo.far"))
  await until(() => answers(far, "echo.near"))
  const statuses = statusesOf(near)

  await server(0).kill()
  await until(() => near.isConnected() && near.server() !== at(0))
  await until(() => answers(near, "echo.far"))
  await until(() => answers(far, "echo.near"))
  expect(statuses.filter((status) => status._tag !== "Problem").map((status) => status._tag)).toEqual([
    "Disconnected",
    "Connected"
  ])

  // Home again, and every question asked meanwhile finds its answer.
  let asked = 0
  let lost = 0
  let on = true
  const asking = (async () => {
    while (on) {
      asked++
      const outcomes = await Promise.all([call(near, "echo.far"), call(far, "echo.near")])
      if (outcomes.some((outcome) => "_tag" in outcome)) lost++
    }
  })()
  await server(0).start()
  await until(() => near.server() === at(0), 15_000)
  const before = asked
  await until(() => asked > before + 10)
  on = false
  await asking
  expect({ lost, moves: near.counters().moves, disconnects: near.counters().disconnects }).toEqual({
    lost: 0,
    moves: 1,
    disconnects: 1
  })
}, 90_000)

test("a frozen server is left, also while what is said to it piles up; what piles up is bounded and refused by name", async () => {
  const [sender, other] = [await connect("n1", 0, { bufferBytes: 1_000_000 }), await connect("n2", 1)]
  echo(other, "echo.other")
  await until(() => answers(sender, "echo.other"))
  const statuses = statusesOf(sender)
  server(0).signal("SIGSTOP")
  const body = Buffer.alloc(100_000)
  let refusal: unknown
  let most = 0
  // Until the kernel's own buffers are full, too.
  await until(() => {
    try {
      for (let i = 0; i < 20; i++) sender.publish("nobody", {}, body)
    } catch (error) {
      refusal ??= error
    }
    most = Math.max(most, sender.counters().waitingBytes)
    return refusal !== undefined
  })
  expect(refusal).toMatchObject({ _tag: "Unreachable" })
  expect(most).toBeLessThan(1_200_000)
  expect(sender.counters().refusals).toBeGreaterThan(0)

  await until(() => sender.isConnected() && sender.server() !== at(0), 15_000)
  expect(statuses.some((status) => status._tag === "Problem" && status.message.includes("is silent"))).toBe(
    true
  )
  await until(() => answers(sender, "echo.other"))
  expect(sender.counters().waitingBytes).toBeLessThan(1_000_000)
}, 90_000)

test("a server that is about to end is left beforehand: nothing is lost, doubled or brought out of order", async () => {
  const [mover, sender] = [await connect("n1", 2), await connect("n2", 0)]
  const seen: number[] = []
  mover.subscribe("stream.one", {}, (delivery) => {
    seen.push(Number(Buffer.from(delivery.body).toString()))
    delivery.respond?.({}, delivery.body)
  })
  echo(sender, "echo.sender")
  await until(() => answers(mover, "echo.sender"))
  seen.length = 0
  await until(() => answers(sender, "stream.one").then(() => seen.length > 0))
  seen.length = 0

  let sent = 0
  let on = true
  const outcomes: CallOutcome[] = []
  const sending = (async () => {
    while (on) {
      for (let i = 0; i < 5; i++)
        sender.publish("stream.one", { "troupe-id": `m${sent}` }, Buffer.from(String(sent++)))
      outcomes.push(await call(mover, "echo.sender"))
    }
  })()
  await until(() => sent > 50)
  server(2).signal("SIGUSR2")
  await until(() => mover.server() !== at(2), 15_000)
  const moved = sent
  await until(() => sent > moved + 100)
  on = false
  await sending
  await until(() => seen.length >= sent)
  expect(seen).toEqual(Array.from({ length: sent }, (_, i) => i))
  expect(outcomes.filter((outcome) => "_tag" in outcome)).toEqual([])
  expect(mover.counters()).toMatchObject({ moves: 1, disconnects: 0 })
  await server(2).kill()
  await server(2).start()
}, 90_000)

for (const runtime of ["bun", "deno"]) {
  test(`under ${runtime} a receiver that is too slow is cut off by its server: it says so, counts it, and goes on afterwards`, async () => {
    const program = fileURLToPath(new URL("nats-client-process.ts", import.meta.url))
    const { url, user, password } = server(0)
    const command =
      runtime === "bun"
        ? [process.execPath]
        : [fileURLToPath(new URL("../../node_modules/deno/deno", import.meta.url)), "run", "-A"]
    const [executable = "", ...first] = command
    const child = spawn(executable, [...first, program, url, user, password], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    try {
      const said: Array<{ readonly _tag: string; readonly message?: string }> = []
      createInterface({ input: child.stdout }).on("line", (line) => said.push(JSON.parse(line)))
      await until(() => said.some(({ _tag }) => _tag === "Ready"), 20_000)
      const sender = await connect("n1", 1)
      await until(() => answers(sender, "echo.child"))

      child.kill("SIGSTOP")
      const body = Buffer.alloc(200_000)
      await until(async () => {
        for (let i = 0; i < 10; i++) sender.publish("flood", {}, body)
        // The server says so as soon as it has cut it off.
        return ((await call(sender, "echo.child", "?", 100)) as { _tag?: string })._tag === "NotHere"
      }, 20_000)
      child.kill("SIGCONT")
      await until(() => answers(sender, "echo.child"), 20_000)
      const { headers } = (await call(sender, "echo.child")) as Delivery
      expect(headers).toMatchObject({ disconnects: "1" })
      expect(said.map(({ _tag }) => _tag).filter((tag) => tag !== "Problem")).toEqual([
        "Ready",
        "Disconnected",
        "Connected"
      ])
    } finally {
      child.kill("SIGKILL")
    }
  }, 60_000)
}

test("what a server takes is learnt anew from each server, and what is larger goes in parts that it takes", async () => {
  const transport = await connect("n1", 0, { servers: [server(0).url] })
  const large = Buffer.alloc(300_000, "x")
  echo(transport, "echo.self")
  expect(transport.maxPayload()).toBe(1_048_576)
  await server(0).kill()
  await until(() => !transport.isConnected())
  await server(0).start("max_payload: 100000")
  await until(() => transport.isConnected())
  expect(transport.maxPayload()).toBe(100_000)
  const answer = (await call(transport, "echo.self", large.toString())) as Delivery
  expect(answer.body.length).toBe(300_000)
  await server(0).kill()
  await server(0).start()
}, 60_000)
