/**
 * One process of the soak: actors, and questions to those of all processes. It is told what to do by lines on stdin,
 * tells how it goes by lines of JSON on stdout, and ends with its stdin.
 */
import process from "node:process"
import { createInterface } from "node:readline"
import { Effect, Exit, Schema, Scope } from "effect"
import { reply } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { type Address, address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import type { TreeNode } from "#runtime/system.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import type { Outcome } from "#runtime/wire.ts"

/** What a process says about itself, each time in total since it started. */
export interface Report {
  readonly asked: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly open: number
  /** What must not happen, in words; the first few. */
  readonly violations: ReadonlyArray<string>
  /** The latest of all outcomes: how often the event loop had come round since its deadline, every 10 ms at best. */
  readonly latest: number
  /** Lately. */
  readonly longestRoundMs: number
  readonly told: number
  /** Messages that this process told others, and those of others that it heard. */
  readonly notes: { readonly sent: number; readonly heard: number }
  /** After a collection, in bytes. */
  readonly heap: number
  readonly resident: number
  readonly tree: string
}

/** So many that each is well for longer than its back-off takes to begin anew, or ever more of them would be waiting. */
const actors = 40
/** Deadlines share timers of 16 ms, which are two rounds; the others are the timer's own and the turn's. */
const roundsBorne = 5
const cluster = "soak"
const [nodeId = "", servers = "", perSecond = "0"] = process.argv.slice(2)
const names = ["n1", "n2", "n3"]

const Message = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Echo"), number: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Count"), id: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Note"), id: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Break") })
])

const violations: string[] = []
const violated = (words: string): void => {
  if (violations.length < 20) violations.push(words)
}

/** Refuses to hear of one thing twice; in two generations, so that it neither grows nor forgets what may still come. */
class Once {
  #lately = new Set<string>()
  #before = new Set<string>()
  readonly #size: number

  constructor(size: number) {
    this.#size = size
  }

  hear(id: string): void {
    if (this.#lately.has(id) || this.#before.has(id)) violated(`${id} was handled twice`)
    this.#lately.add(id)
    if (this.#lately.size <= this.#size) return
    this.#before = this.#lately
    this.#lately = new Set()
  }
}
const counted = new Once(1_000)
const noted = new Once(20_000)
const notes = { sent: 0, heard: 0 }

const echo = actor<undefined, number, typeof Message.Type, never>({
  kind: "echo",
  accepts: Message,
  start: () => stay(0),
  decide: (handled, message, { asker }) => {
    if (message._tag === "Break") throw new Error("broken on purpose")
    if (message._tag === "Count") counted.hear(message.id)
    if (message._tag === "Note") {
      notes.heard++
      noted.hear(message.id)
      return stay(handled + 1)
    }
    const answer = message._tag === "Echo" ? message.number : message.id
    return asker ? stay(handled + 1, reply(asker, answer)) : stay(handled + 1)
  }
})

const host = makeLiveHost()
const scope = Effect.runSync(Scope.make())
const transport = await Effect.runPromise(
  natsTransport({ servers: servers.split(","), nodeId, inOrder: true }).pipe(
    Effect.provideService(Scope.Scope, scope)
  )
)
const system = makeSystem({ cluster, nodeId, host, transport })
const one = (): Address =>
  address(
    names[Math.floor(Math.random() * names.length)] as string,
    "echo",
    `e${Math.floor(Math.random() * actors)}`
  )
system.startTree(
  supervisor({
    name: "top",
    tolerates: { crashes: 100_000, within: "1 minute" },
    children: Array.from({ length: actors }, (_, i) => permanent(echo, { id: `e${i}` }))
  }),
  nodeId
)

// --- the event loop's own time, in which a deadline is late whatever the machine does meanwhile --------------------

/** When the loop came round, newest last; a machine that is busy with others makes it come round less often. */
const rounds: number[] = []
const roundMs = 10
setInterval(() => {
  rounds.push(performance.now())
  if (rounds.length > 1_000) rounds.splice(0, 500)
}, roundMs)

/** How often it has come round since then. */
function roundsSince(at: number): number {
  let count = 0
  for (let i = rounds.length - 1; i >= 0 && (rounds[i] as number) > at; i--) count++
  return count
}

// --- questions -------------------------------------------------------------------------------------------------------

const outcomes: Record<string, number> = {}
let [asked, open, latest] = [0, 0, 0]

function ask(): void {
  const number = asked++
  const once = number % 5 === 0
  const to = one()
  const withinMs = 500 + Math.floor(Math.random() * 2_500)
  const began = performance.now()
  const wanted = once ? `${nodeId}-${process.pid}-${number}` : number
  let heard = 0
  open++
  const done = (outcome: Outcome): void => {
    heard++
    if (heard > 1) {
      violated(`question ${number} ended ${heard} times`)
      return
    }
    open--
    const name = `${once ? "once: " : ""}${outcome._tag}`
    outcomes[name] = (outcomes[name] ?? 0) + 1
    if (outcome._tag === "Answer" && outcome.value !== wanted)
      violated(`question ${number} got another's answer`)
    const late = roundsSince(began + withinMs)
    latest = Math.max(latest, late)
    if (late > roundsBorne) violated(`question ${number} ended ${late} rounds late: ${outcome._tag}`)
  }
  const message = once ? { _tag: "Count", id: wanted } : { _tag: "Echo", number }
  try {
    if (once) system.askOnceThen(to, message, withinMs, done)
    else system.askThen(to, message, withinMs, done)
  } catch (error) {
    violated(`asking threw ${error}`)
  }
}

/** Several in one turn, as they go out together; they may be lost, but not come twice. */
function tellNotes(): void {
  const to = one()
  for (let i = 0; i < 5; i++)
    system.tell(to, { _tag: "Note", id: `note ${nodeId}-${process.pid}-${notes.sent++}` })
}

let load: ReturnType<typeof setInterval> | undefined
let owed = 0
const startLoad = (): void => {
  let before = performance.now()
  load = setInterval(() => {
    const now = performance.now()
    owed += ((now - before) / 1_000) * Number(perSecond)
    before = now
    for (; owed >= 1; owed--) ask()
    tellNotes()
  }, 10)
}

// --- watches: one for each actor elsewhere, made anew when it was told ---------------------------------------------

let told = 0
function keepWatching(target: Address): void {
  let heard = 0
  system.watch(target, (reason) => {
    heard++
    told++
    if (heard > 1) violated(`a watch told ${heard} times: ${reason}`)
    else setTimeout(() => keepWatching(target), 1_000)
  })
}

// --- what the driver says and hears ----------------------------------------------------------------------------------

const shape = ({ name, state, children }: TreeNode): unknown => [name, state, children.map(shape)]

function report(): void {
  Bun.gc(true)
  const line: Report = {
    asked,
    outcomes,
    open,
    violations,
    latest,
    longestRoundMs: Math.max(0, ...rounds.map((at, i) => at - (rounds[i - 1] ?? at))),
    told,
    notes,
    heap: process.memoryUsage().heapUsed,
    resident: process.memoryUsage().rss,
    tree: JSON.stringify(system.trees().map(shape))
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

const lines = createInterface({ input: process.stdin })
lines.on("line", (line) => {
  if (line === "load") {
    startLoad()
    for (const name of names.filter((other) => other !== nodeId)) {
      for (let i = 0; i < actors; i++) keepWatching(address(name, "echo", `e${i}`))
    }
  } else if (line === "rest") clearInterval(load)
  else if (line === "break") {
    system.tell(address(nodeId, "echo", `e${Math.floor(Math.random() * actors)}`), { _tag: "Break" })
  }
})
lines.on("close", () => {
  void Effect.runPromise(Scope.close(scope, Exit.void)).finally(() => process.exit(0))
})
report()
setInterval(report, 1_000)
