/** A program for the tests of crash isolation and of the watchdog: a small tree, and what its first argument does to it. */
import process from "node:process"
import { setImmediate, setTimeout } from "node:timers"
import { Context, Effect } from "effect"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { effectPerformer } from "#runtime/performer.ts"
import { catchStrays } from "#runtime/strays.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { startWatchdog } from "#runtime/watchdog.ts"

interface Deed {
  readonly _tag: string
}

const deep = (n: number): number => deep(n + 1) + 1

/** What an actor's own work may do wrong, by name. Each returns what `perform` does. */
const deeds: Record<string, () => Effect.Effect<void, Error>> = {
  "perform throws": () => {
    throw new Error("thrown by perform")
  },
  "perform fails": () => Effect.fail(new Error("failed by perform")),
  "perform rejects": () => Effect.promise(() => Promise.reject(new Error("rejected by perform"))),
  "stray rejection": () =>
    Effect.sync(() => {
      void (async () => {
        await null
        throw new Error("stray rejection")
      })()
    }),
  "stray timer": () =>
    Effect.sync(() => {
      setTimeout(() => {
        throw new Error("stray timer")
      }, 1)
    }),
  "stray microtask": () =>
    Effect.sync(() => {
      queueMicrotask(() => {
        throw new Error("stray microtask")
      })
    })
}

const culprit = actor({
  kind: "culprit",
  start: () => stay({ lives: 1 }),
  decide: (state: { lives: number }, message: Deed) => {
    switch (message._tag) {
      case "Throw":
        throw new Error("thrown by decide")
      case "Recurse":
        return stay({ lives: deep(0) })
      case "Spin":
        for (;;);
      default:
        return stay(state, { _tag: message._tag })
    }
  },
  perform: (action: Deed) => (deeds[action._tag] as () => Effect.Effect<void, Error>)()
})
const bystander = actor({
  kind: "bystander",
  start: () => stay(0),
  decide: (told: number, _message: Deed) => stay(told + 1),
  summary: (told: number) => String(told)
})

const say = (words: object): void => void process.stdout.write(`${JSON.stringify(words)}\n`)
const [what = "", mode = ""] = process.argv.slice(2)
const host = makeLiveHost()
const watchdog = mode === "watched" ? startWatchdog({ stuckMs: Number(process.argv[4] ?? 1_000) }) : undefined
const system = makeSystem({
  cluster: "blue",
  nodeId: "n1",
  host,
  transport: new MemoryBus(host).connect("n1"),
  performer: effectPerformer(Context.empty()),
  report: (event) => {
    const error = event.error instanceof Error ? event.error.message : event.error
    say({ event: event._tag, name: event.name, error })
  },
  lookout: watchdog
})
catchStrays(system.stray)
system.startTree(supervisor({ name: "top", children: [permanent(culprit), permanent(bystander)] }), "n1")

const told = (): string | undefined => system.inspectChild(address("n1", "bystander", "main"))?.summary
say({ started: true })
if (what === "nobody's rejection") void Promise.reject(new Error("nobody's rejection"))
else if (what === "nobody's exception") {
  setImmediate(() => {
    throw new Error("nobody's exception")
  })
} else if (what === "block") {
  // Stuck, but not computing: what a slow disk or a debugger does to a thread.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000)
} else system.tell(address("n1", "culprit", "main"), { _tag: what })
system.tell(address("n1", "bystander", "main"), { _tag: "Hello" })
/** Longer than all of it takes; on a busy machine it is waited for. */
const until = (mode === "watched" ? 0 : 20_000) + performance.now()
const end = (): void => {
  const { state, restarts = 0 } = system.inspectChild(["top", "culprit/main"]) ?? {}
  const strays = system.strays().count
  const isOver = told() === "1" && state === "running" && restarts + strays > 0
  if (!isOver && performance.now() < until) return void setTimeout(end, 100)
  say({ bystander: told(), culprit: state, restarts, strays })
  process.exit(0)
}
setTimeout(end, 600)
