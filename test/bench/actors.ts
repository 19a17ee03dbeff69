/**
 * What actors cost beside Erlang's in the same run, and over NATS beside the bare client's own publish and request.
 *
 *     bun test/bench/actors.ts [rounds] [local | remote]        also `deno run -A test/bench/actors.ts`
 *
 * Erlang's figures come from `actors.erl` where `erlc` and `erl` are installed. What is compared takes turns, round by
 * round, so that both see the same noise; what is printed is the median of the rounds after a warm-up.
 *
 * Last run, alone on two cores, beside Erlang: tells 8.0 M/s (1.07 ×), told and back 1.07 ×, 1,000 to one 1.23 ×, asks
 * 2.04 ×, 100,000 spawned in 278 ms (0.27 ×), an idle actor 422 bytes resident (0.16 ×). Beside the bare NATS client: tells
 * 1.74 ×, of one actor to one 2.14 ×, to 64 in turn 0.29 ×, ask p50 1.00 ×.
 */

import { execFileSync, fork, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { setImmediate } from "node:timers"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Schema, Scope } from "effect"
import { connect } from "nats"
import { type CommonAction, reply, spawn, tell } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { type Address, address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { type LocalSystem, makeSystem } from "#runtime/live.ts"
import { runtimeName, selfCommand } from "#runtime/platform.ts"
import { many, permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import { median } from "#test/bench/raft/figures.ts"
import { startNatsServer } from "#test/support/nats-server.ts"

const Message = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Add"), amount: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Get") })
])

const add = { _tag: "Add", amount: 1 } as const
const get = { _tag: "Get" } as const
const go = { _tag: "Go" } as const
const roomy = { capacity: 2_000_000 }

/** Called once it has been told as often as `counted` says. */
let counted: { left: number; done: () => void } = { left: 0, done: () => {} }
const hear = (messages: number): Promise<void> =>
  new Promise((done) => {
    counted = { left: messages, done }
  })

const counter = actor<undefined, number, typeof Message.Type, never>({
  kind: "counter",
  accepts: Message,
  mailbox: roomy,
  start: () => stay(0),
  decide: (sum, message, { asker }) => {
    if (message._tag === "Get") return asker ? stay(sum, reply(asker, { sum })) : stay(sum)
    if (--counted.left === 0) counted.done()
    return stay(sum + message.amount)
  }
})

interface Send {
  readonly left: number
  readonly to: Address
}

/** Tells `to` a hundred times per turn, as often as it was told to. */
const teller = actor<undefined, Send, Send | typeof go, never>({
  kind: "teller",
  mailbox: roomy,
  start: () => stay({ left: 0, to: address("n1", "counter", "main") }),
  decide: (state, message, { self }) => {
    const { left, to } = "left" in message ? message : state
    const actions: CommonAction[] = []
    const now = Math.min(left, 100)
    for (let i = 0; i < now; i++) actions.push(tell(to, add))
    if (left > now) actions.push(tell(self, go))
    return { state: { left: left - now, to }, actions }
  }
})

/** Tells whoever told it. */
const player = actor<undefined, number, { readonly _tag: "Ball" }, never>({
  kind: "player",
  start: () => stay(0),
  decide: (heard, ball, { self }) => {
    if (--counted.left <= 0) {
      if (counted.left === 0) counted.done()
      return stay(heard + 1)
    }
    return stay(heard + 1, tell(self.id === "a" ? playerB : playerA, ball))
  }
})
const playerA = address("n1", "player", "a")
const playerB = address("n1", "player", "b")

const idle = actor<number, number, typeof add, never>({
  kind: "idle",
  start: (props) => stay(props),
  decide: (sum, message) => stay(sum + message.amount)
})

/** Spawns a thousand per turn, until there are as many as it was told. */
const boss = actor<undefined, { made: number; wanted: number }, { wanted: number } | typeof go, never>({
  kind: "boss",
  start: () => stay({ made: 0, wanted: 0 }),
  decide: (state, message, { self }) => {
    const wanted = "wanted" in message ? message.wanted : state.wanted
    const made = Math.min(wanted, state.made + 1_000)
    const actions: CommonAction[] = []
    for (let i = state.made; i < made; i++) actions.push(spawn("idle", `i${i}`, 0))
    // It hears of itself once more after the last ones: by then they run.
    if (state.made < wanted) actions.push(tell(self, go))
    else counted.done()
    return { state: { made, wanted }, actions }
  }
})

const host = makeLiveHost()
const to = address("n1", "counter", "main")

const quantile = (numbers: ReadonlyArray<number>, share: number): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * share)] ?? Number.NaN

/** Everything measured so far, by name. */
const figures = new Map<string, number[]>()
const note = (name: string, value: number): void => {
  const noted = figures.get(name)
  if (noted) noted.push(value)
  else figures.set(name, [value])
}
const figure = (name: string): number => median(figures.get(name) ?? [])

async function perSecond(count: number, run: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await run()
  return count / ((performance.now() - began) / 1_000)
}

/** Runs `count` operations with `width` of them under way at any time; `one` calls back when it is done. */
function inFlight(count: number, width: number, one: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    let begun = 0
    let ended = 0
    const next = (): void => {
      if (begun === count) return
      begun++
      one(() => {
        ended++
        if (ended === count) resolve()
        else next()
      })
    }
    for (let i = 0; i < width; i++) next()
  })
}

const asking =
  (system: LocalSystem) =>
  (done: () => void): void => {
    system.askThen(to, get, 10_000, (outcome) => {
      if (outcome._tag !== "Answer") throw outcome
      done()
    })
  }

/** How long each of `count` operations took, one after the other, in microseconds. */
async function times(count: number, one: (done: () => void) => void): Promise<ReadonlyArray<number>> {
  const taken: number[] = []
  await inFlight(count, 1, (done) => {
    const began = performance.now()
    one(() => {
      taken.push((performance.now() - began) * 1_000)
      done()
    })
  })
  return taken
}

/** Lets a child process of ours do what only a fresh one can, and returns the figures that it prints. */
function inChild(what: string): void {
  const { command, args } = selfCommand(import.meta.url, [what])
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${what} ended with ${status}: ${stderr}`)
  readFigures(stdout)
}

const readFigures = (text: string): void => {
  for (const [, name, value] of text.matchAll(/^(\w+) ([\d.]+)$/gm)) note(name as string, Number(value))
}

function collectGarbage(): void {
  const bun = (globalThis as { Bun?: { gc: (full: boolean) => void } }).Bun
  if (bun) {
    bun.gc(true)
    return
  }
  // Node and Deno hand out their collector only when asked for by flag, which can be given late.
  const require = createRequire(import.meta.url)
  require("node:v8").setFlagsFromString("--expose-gc")
  require("node:vm").runInNewContext("gc")()
}

function memory(): { readonly resident: number; readonly heap: number } {
  for (let i = 0; i < 3; i++) collectGarbage()
  const { rss, heapUsed } = process.memoryUsage()
  return { resident: rss, heap: heapUsed }
}

/** In a process of its own: 100,000 actors that have heard nothing yet, and once each of them has heard something. */
async function spawnFigures(): Promise<void> {
  const count = 100_000
  const system = makeSystem({
    cluster: "bench",
    nodeId: "n1",
    host,
    transport: new MemoryBus(host).connect("n1")
  })
  const spec = supervisor({ name: "bench", children: [permanent(boss), many(idle)] })
  const fill = async (wanted: number): Promise<number> => {
    const began = performance.now()
    const full = hear(1)
    system.tell(address("n1", "boss", "main"), { wanted })
    await full
    return performance.now() - began
  }
  const warmUp = system.startTree(spec, "n1")
  await fill(20_000)
  await new Promise<void>((stopped) => warmUp.stop(stopped))
  const before = memory()
  const tree = system.startTree(spec, "n1")
  const tookMs = await fill(count)
  await new Promise((resolve) => setImmediate(resolve))
  const after = memory()
  const members = tree.snapshot().children[1]?.children.length
  if (members !== count) throw new Error(`${members} actors run instead of ${count}`)
  for (let i = 0; i < count; i++) system.tell(address("n1", "idle", `i${i}`), add)
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => host.after(50, () => resolve(undefined)))
  const told = memory()
  const figuresOf: ReadonlyArray<readonly [string, number]> = [
    ["our_spawn_ms", tookMs],
    ["our_spawn_bytes", (after.resident - before.resident) / count],
    ["our_spawn_heap", (after.heap - before.heap) / count],
    ["our_told_heap", (told.heap - before.heap) / count]
  ]
  for (const [name, value] of figuresOf) process.stdout.write(`${name} ${Math.max(0, value).toFixed(3)}\n`)
  process.exit(0)
}

/** One round of everything within one process. */
async function localRound(system: LocalSystem, keep: boolean): Promise<void> {
  const remember = (name: string, value: number): void => {
    if (keep) note(name, value)
  }
  const tells = 1_000_000
  const heard = async (count: number, begin: () => void): Promise<number> =>
    await perSecond(count, () => {
      const all = hear(count)
      begin()
      return all
    })
  remember(
    "our_tell_pair",
    await heard(tells, () => system.tell(address("n1", "teller", "t0"), { left: tells, to }))
  )
  remember("our_tell_back", await heard(500_000, () => system.tell(playerA, { _tag: "Ball" })))
  remember(
    "our_fan_in",
    await heard(tells, () => {
      for (let i = 0; i < 1_000; i++) system.tell(address("n1", "teller", `t${i}`), { left: 1_000, to })
    })
  )
  remember("our_ask", await perSecond(100_000, () => inFlight(100_000, 1, asking(system))))
  remember("our_ask_64", await perSecond(200_000, () => inFlight(200_000, 64, asking(system))))
  const taken = await times(100_000, asking(system))
  remember("our_ask_p50_us", quantile(taken, 0.5))
  remember("our_ask_p99_us", quantile(taken, 0.99))
}

async function localFigures(rounds: number): Promise<void> {
  const system = makeSystem({
    cluster: "bench",
    nodeId: "n1",
    host,
    transport: new MemoryBus(host).connect("n1")
  })
  const children = [
    permanent(counter),
    permanent(starter),
    many(teller),
    permanent(player, { id: "a" }),
    permanent(player, { id: "b" })
  ]
  const tree = system.startTree(supervisor({ name: "bench", children }), "n1")
  const erlang = compileErlang()
  await localRound(system, false)
  for (let round = 0; round < rounds; round++) {
    if (erlang)
      readFigures(
        execFileSync("erl", ["-noshell", "-pa", erlang, "-s", "actors", "main"], { encoding: "utf8" })
      )
    await localRound(system, true)
    inChild("spawn")
  }
  if (erlang) rmSync(erlang, { recursive: true, force: true })
  await new Promise<void>((stopped) => tree.stop(stopped))
  system.close()
}

/** Starts the thousand tellers. */
const starter = actor<undefined, null, typeof go, never>({
  kind: "starter",
  start: () => stay(null, ...Array.from({ length: 1_000 }, (_, i) => spawn("teller", `t${i}`, undefined))),
  decide: (state) => stay(state)
})

/** A directory with the compiled module, or undefined where there is no Erlang. */
function compileErlang(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "troupe-bench-"))
  const source = fileURLToPath(new URL("actors.erl", import.meta.url))
  if (spawnSync("erlc", ["-o", directory, source]).status === 0) return directory
  rmSync(directory, { recursive: true, force: true })
  return undefined
}

const pair = { subject: "bench.tell", done: "bench.done", ask: "bench.ask" }
const remoteTells = 100_000
/** Told in turn, so that no two messages that follow each other have one receiver. */
const inTurn = Array.from({ length: 64 }, (_, i) => `c${i}`)
const turnOf = (sent: number): string => inTurn[sent % inTurn.length] as string

/** The other process: the actor, and the bare client that does what the actor does. */
async function farSide(url: string, user: string, password: string): Promise<void> {
  const scope = Scope.makeUnsafe()
  const transport = await Effect.runPromise(
    natsTransport({ servers: [url], user, password, nodeId: "n1", host }).pipe(Scope.provide(scope))
  )
  const system = makeSystem({ cluster: "bench", nodeId: "n1", host, transport })
  const children = ["main", ...inTurn].map((id) => permanent(counter, { id }))
  const tree = system.startTree(supervisor({ name: "far", children }), "n1")
  const bare = await connect({ servers: url, user, pass: password, noAsyncTraces: true })
  let sum = 0
  bare.subscribe(`${pair.subject}.*`, {
    callback: (_, message) => {
      sum += (message.json() as typeof add).amount
      if (sum % remoteTells === 0) bare.publish(pair.done)
    }
  })
  bare.subscribe(pair.ask, {
    callback: (_, message) => {
      message.json()
      message.respond(JSON.stringify({ sum }))
    }
  })
  const again = (): void => {
    counted = {
      left: remoteTells,
      done: () => {
        bare.publish(pair.done)
        again()
      }
    }
  }
  again()
  await bare.flush()
  process.send?.("ready")
  await new Promise<void>((gone) => process.once("disconnect", gone))
  await new Promise<void>((stopped) => tree.stop(stopped))
  system.close()
  await bare.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  process.exit(0)
}

async function remoteFigures(rounds: number): Promise<void> {
  const server = await startNatsServer()
  const { url, user, password } = server
  const far = fork(fileURLToPath(import.meta.url), ["far", url, user, password])
  await new Promise((ready) => far.once("message", ready))
  const scope = Scope.makeUnsafe()
  const transport = await Effect.runPromise(
    natsTransport({ servers: [url], user, password, nodeId: "n2", host }).pipe(Scope.provide(scope))
  )
  const system = makeSystem({ cluster: "bench", nodeId: "n2", host, transport })
  const tree = system.startTree(supervisor({ name: "near", children: [permanent(teller)] }), "n2")
  const bare = await connect({ servers: url, user, pass: password, noAsyncTraces: true })
  let arrived = (): void => {}
  bare.subscribe(pair.done, { callback: () => arrived() })
  await bare.flush()

  const arriving = async (begin: () => unknown): Promise<void> => {
    const all = new Promise<void>((resolve) => {
      arrived = resolve
    })
    await begin()
    await all
  }
  /** Sends all of them, a turn of the event loop after every 500, and waits until the other side has them all. */
  const tellAll = (one: (sent: number) => void): Promise<void> =>
    arriving(async () => {
      for (let sent = 0; sent < remoteTells; sent++) {
        one(sent)
        if (sent % 500 === 499) await new Promise((resolve) => setImmediate(resolve))
      }
    })
  const ask = (done: () => void): void => {
    bare.request(pair.ask, JSON.stringify(get), { timeout: 10_000 }).then((message) => {
      message.json()
      done()
    })
  }

  for (let round = -1; round < rounds; round++) {
    const remember = (name: string, value: number): void => {
      if (round >= 0) note(name, value)
    }
    const text = (): string => JSON.stringify(add)
    const waysToTell: ReadonlyArray<readonly [string, () => Promise<void>]> = [
      ["bare_tell", () => tellAll(() => bare.publish(`${pair.subject}.main`, text()))],
      ["far_tell", () => tellAll(() => system.tell(to, add))],
      [
        "far_actor_tell",
        () => arriving(() => system.tell(address("n2", "teller", "main"), { left: remoteTells, to }))
      ],
      ["bare_tell_in_turn", () => tellAll((sent) => bare.publish(`${pair.subject}.${turnOf(sent)}`, text()))],
      ["far_tell_in_turn", () => tellAll((sent) => system.tell(address("n1", "counter", turnOf(sent)), add))]
    ]
    for (const [name, run] of waysToTell) remember(name, await perSecond(remoteTells, run))
    for (const [name, one] of [
      ["bare", ask],
      ["far", asking(system)]
    ] as const) {
      const taken = await times(3_000, one)
      remember(`${name}_ask_p50_us`, quantile(taken, 0.5))
      remember(`${name}_ask_p99_us`, quantile(taken, 0.99))
      remember(`${name}_ask_64`, await perSecond(20_000, () => inFlight(20_000, 64, one)))
    }
  }
  const gone = new Promise((resolve) => far.once("exit", resolve))
  far.disconnect()
  await gone
  await new Promise<void>((stopped) => tree.stop(stopped))
  system.close()
  await bare.close()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await server.close()
}

const shown = (value: number): string =>
  Number.isNaN(value) ? "–" : value >= 1_000 ? Math.round(value).toLocaleString("en") : value.toFixed(1)

/** One line: ours, the other one's, and how often ours is the other. */
function print(what: string, unit: string, ours: string, other?: string): void {
  const [own, beside] = [figure(ours), other === undefined ? Number.NaN : figure(other)]
  const ratio = Number.isNaN(beside) ? "" : `${(own / beside).toFixed(2)} ×`
  const spread = figures.get(ours) ?? []
  const range = `${shown(Math.min(...spread))} … ${shown(Math.max(...spread))}`
  process.stdout.write(
    `${what.padEnd(44)} ${shown(own).padStart(10)} ${unit.padEnd(5)} ${shown(beside).padStart(10)} ${ratio.padStart(8)}   ${range}\n`
  )
}

async function all(rounds: number, part: string): Promise<void> {
  process.stdout.write(`${runtimeName()}: median of ${rounds}, and least … most of ours\n`)
  if (part !== "remote") {
    await localFigures(rounds)
    printLocal()
  }
  if (part !== "local") {
    await remoteFigures(rounds)
    printRemote()
  }
  process.exit(0)
}

function printLocal(): void {
  process.stdout.write("\nwithin one process, beside Erlang's\n")
  print("tells, one to one", "/s", "our_tell_pair", "tell_pair")
  print("tells, two that tell each other", "/s", "our_tell_back", "tell_back")
  print("tells, 1,000 to one", "/s", "our_fan_in", "fan_in")
  print("asks, one after the other", "/s", "our_ask", "ask")
  print("asks, 64 in flight", "/s", "our_ask_64")
  print("ask, p50", "µs", "our_ask_p50_us", "ask_p50_us")
  print("ask, p99", "µs", "our_ask_p99_us", "ask_p99_us")
  print("100,000 actors spawned", "ms", "our_spawn_ms", "spawn_ms")
  print("an idle one, resident", "bytes", "our_spawn_bytes", "spawn_bytes")
  print("an idle one, on the heap", "bytes", "our_spawn_heap")
  print("one that was told something, on the heap", "bytes", "our_told_heap")
}

function printRemote(): void {
  process.stdout.write("\nover NATS, between two processes, beside the bare client's\n")
  print("tells, one to one", "/s", "far_tell", "bare_tell")
  print("tells of one actor to one", "/s", "far_actor_tell", "bare_tell")
  print("tells, one to 64 in turn", "/s", "far_tell_in_turn", "bare_tell_in_turn")
  print("ask, p50", "µs", "far_ask_p50_us", "bare_ask_p50_us")
  print("ask, p99", "µs", "far_ask_p99_us", "bare_ask_p99_us")
  print("asks, 64 in flight", "/s", "far_ask_64", "bare_ask_64")
}

const [what = "5", part = "", user = "", password = ""] = process.argv.slice(2)
if (what === "far") await farSide(part, user, password)
else if (what === "spawn") await spawnFigures()
else await all(Number(what), part)
