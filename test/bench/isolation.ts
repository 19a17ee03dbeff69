/**
 * What the watchdog's lookout costs a message, and what it costs an action to be known as its actor's work.
 *
 * Each beside the same without, in turns within one run.
 */

import { performance } from "node:perf_hooks"
import process from "node:process"
import { Context, Effect } from "effect"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { Blackboard } from "#runtime/blackboard.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { lookoutOn } from "#runtime/lookout.ts"
import { asPerformer } from "#runtime/strays.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { median } from "#test/bench/raft/figures.ts"

const rounds = 9
/** Nanoseconds per unit of each, taken in turns. */
async function beside(units: number, runs: Record<string, () => unknown>): Promise<Record<string, number>> {
  const taken = Object.fromEntries(Object.keys(runs).map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(runs)) {
      const began = performance.now()
      await run()
      taken[name]?.push(((performance.now() - began) * 1e6) / units)
    }
  }
  return Object.fromEntries(Object.entries(taken).map(([name, values]) => [name, median(values)]))
}

const print = (what: string, nanos: Record<string, number>): void => {
  const each = Object.entries(nanos).map(([name, ns]) => `${name} ${ns.toFixed(1)} ns`)
  process.stdout.write(`${what.padEnd(34)} ${each.join(", ")}\n`)
}

const lookout = lookoutOn(new Blackboard())
const cell = { self: address("n1", "counter", "main"), mark: 0 }
const [add, get] = [{ _tag: "Add" }, { _tag: "Get" }]
const million = 1_000_000
const say = (first: object, second: object) => () => {
  for (let turn = 0; turn < million / 64; turn++) {
    const before = lookout.enter(cell)
    for (let i = 0; i < 32; i++) {
      lookout.about(first)
      lookout.about(second)
    }
    lookout.leave(before)
  }
}
print(
  "lookout alone, per message",
  await beside(million, { "one tag": say(add, add), "two by turns": say(add, get) })
)

const counter = actor({
  kind: "counter",
  start: () => stay(0),
  decide: (sum: number, _message: { readonly _tag: string }) => stay(sum + 1)
})
const host = makeLiveHost()
const to = address("n1", "counter", "main")
const tells = 200_000
const telling = (watched: boolean) => {
  const system = makeSystem({
    cluster: watched ? "a" : "b",
    nodeId: "n1",
    host,
    transport: new MemoryBus(host).connect("n1"),
    lookout: watched ? lookout : undefined
  })
  system.startTree(supervisor({ name: "bench", children: [permanent(counter, {})] }), "n1")
  const handled = (): number => system.inspectChild(to)?.handled ?? 0
  return async () => {
    const goal = handled() + tells
    for (let i = 0; i < tells; i++) system.tell(to, add)
    while (handled() < goal) await new Promise((resolve) => setImmediate(resolve))
  }
}
print("local tells", await beside(tells, { unwatched: telling(false), watched: telling(true) }))

const fork = Effect.runForkWith(Context.empty())
const [owner, actions] = [{ self: to, life: 1 }, 100_000]
const immediate = Effect.void
const forkAll = (known: boolean) => () => {
  for (let i = 0; i < actions; i++) known ? asPerformer(owner, () => fork(immediate)) : fork(immediate)
}
const promise = Effect.promise(async () => {})
const awaitAll = (known: boolean) => async () => {
  for (let i = 0; i < actions / 10; i++) {
    const run = () => Effect.runPromise(promise)
    await (known ? asPerformer(owner, run) : run())
  }
}
print("actions that end at once", await beside(actions, { unknown: forkAll(false), known: forkAll(true) }))
print(
  "actions that await a promise",
  await beside(actions / 10, { unknown: awaitAll(false), known: awaitAll(true) })
)
