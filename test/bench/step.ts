/**
 * What one step costs: local tells and asks, and asks over NATS beside a bare NATS request loop in the same run.
 *
 * Absolute numbers are this machine's; the ratios are what to compare. Run with `bun test/bench/step.ts`.
 */
import { performance } from "node:perf_hooks"
import process from "node:process"
import { Effect, Exit, Schema, Scope } from "effect"
import { connect } from "nats"
import { reply } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { type LocalSystem, makeSystem } from "#runtime/live.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import type { TransportService } from "#runtime/transport.ts"
import { startNatsServer, until } from "#test/support/nats-server.ts"

const Message = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Add"), amount: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Get") })
])

const counter = actor<undefined, number, typeof Message.Type, never>({
  kind: "counter",
  accepts: Message,
  mailbox: { capacity: 1_000_000 },
  start: () => stay(0),
  decide: (sum, message, { asker }) => {
    if (message._tag === "Add") return stay(sum + message.amount)
    return asker ? stay(sum, reply(asker, { sum })) : stay(sum)
  }
})

const host = makeLiveHost()
const to = address("n1", "counter", "main")
const add = { _tag: "Add", amount: 1 }
const get = { _tag: "Get" }

const systemOn = (nodeId: string, transport: TransportService): LocalSystem =>
  makeSystem({ cluster: "bench", nodeId, host, transport })

/**
 * The best of three runs of `count` operations each, per second: the machine is shared, and noise only slows.
 * What is compared takes turns, so that both see the same noise.
 */
async function rates(
  count: number,
  ...runs: ReadonlyArray<() => Promise<void>>
): Promise<ReadonlyArray<number>> {
  const best = runs.map(() => 0)
  for (let round = 0; round < 4; round++) {
    for (const [i, run] of runs.entries()) {
      const began = performance.now()
      await run()
      const perSecond = count / ((performance.now() - began) / 1_000)
      // The first round is for the compilers.
      if (round > 0) best[i] = Math.max(best[i] as number, perSecond)
    }
  }
  return best
}

const rate = async (count: number, run: () => Promise<void>): Promise<number> =>
  (await rates(count, run))[0] as number

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

const asks = (system: LocalSystem, count: number, width: number): Promise<void> =>
  inFlight(count, width, (done) => {
    system.askThen(to, get, 10_000, (outcome) => {
      if (outcome._tag !== "Answer") throw outcome
      done()
    })
  })

const print = (what: string, perSecond: number, beside = ""): void => {
  process.stdout.write(
    `${what.padEnd(46)} ${Math.round(perSecond).toLocaleString("en").padStart(12)} /s ${beside}\n`
  )
}

async function local(): Promise<void> {
  const system = systemOn("n1", new MemoryBus(host).connect("n1"))
  const tree = system.startTree(supervisor({ name: "bench", children: [permanent(counter)] }), "n1")
  const handled = (): number => system.trees()[0]?.children[0]?.handled ?? 0
  const tells = 200_000
  const told = await rate(tells, async () => {
    const before = handled()
    for (let i = 0; i < tells; i++) system.tell(to, add)
    await until(() => handled() === before + tells)
  })
  print("local tells", told)
  print("local asks, one after the other", await rate(50_000, () => asks(system, 50_000, 1)))
  print("local asks, 64 in flight", await rate(200_000, () => asks(system, 200_000, 64)))
  const effects = Effect.forEach(Array.from({ length: 20_000 }), () => system.ask(to, get, 10_000), {
    discard: true
  })
  print("local asks as Effects, one after the other", await rate(20_000, () => Effect.runPromise(effects)))
  tree.stop()
  system.close()
}

async function overNats(): Promise<void> {
  const server = await startNatsServer()
  const scope = Scope.makeUnsafe()
  const credentials = { servers: [server.url], user: server.user, password: server.password }
  const open = (nodeId: string): Promise<TransportService> =>
    Effect.runPromise(natsTransport({ ...credentials, nodeId, host }).pipe(Scope.provide(scope)))
  const [near, far] = [systemOn("n1", await open("n1")), systemOn("n2", await open("n2"))]
  const tree = near.startTree(supervisor({ name: "bench", children: [permanent(counter)] }), "n1")

  const bare = { servers: server.url, user: server.user, pass: server.password, noAsyncTraces: true }
  const [asker, answerer] = [await connect(bare), await connect(bare)]
  answerer.subscribe("bench", { callback: (_, message) => void message.respond(JSON.stringify({ sum: 1 })) })
  await answerer.flush()
  const bareAsks = (count: number, width: number): Promise<void> =>
    inFlight(count, width, (done) => {
      asker.request("bench", JSON.stringify(get), { timeout: 10_000 }).then((message) => {
        message.json()
        done()
      })
    })

  for (const [words, count, width] of [
    ["one after the other", 4_000, 1],
    ["64 in flight", 20_000, 64]
  ] as const) {
    const both = [() => bareAsks(count, width), () => asks(far, count, width)]
    const [bareRate, ours] = (await rates(count, ...both)) as [number, number]
    print(`bare NATS requests, ${words}`, bareRate)
    print(`asks over NATS, ${words}`, ours, `(${(ours / bareRate).toFixed(2)} × bare)`)
  }

  tree.stop()
  near.close()
  far.close()
  await Promise.all([asker.close(), answerer.close()])
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await server.close()
}

await local()
await overNats()
