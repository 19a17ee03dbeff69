/** Questions end exactly once, by their deadline, whatever breaks meanwhile; and their answers are their own. */
import { expect, test } from "bun:test"
import process from "node:process"
import { Schema } from "effect"
import { later, reply } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { type ReplyTo, stay } from "#runtime/behaviour.ts"
import { type SimulatedProcess, Simulation } from "#runtime/simulation.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"

const names = ["n1", "n2", "n3"]
const Message = Schema.Union([
  /** Answered with its number, twice, at once or after a while; sometimes it is a crash. */
  Schema.Struct({
    _tag: Schema.Literal("Ask"),
    number: Schema.Int,
    afterMs: Schema.Int,
    breaks: Schema.Boolean
  }),
  Schema.Struct({ _tag: Schema.Literal("Due"), number: Schema.Int })
])

/** What it has been asked and has not answered yet. */
type Open = ReadonlyMap<number, ReplyTo>

/** A process of the simulation answers from one actor; `handled` hears what was decided about, in which life. */
const answering = (handled: (number: number) => void) =>
  actor<undefined, Open, typeof Message.Type, never>({
    kind: "answering",
    accepts: Message,
    start: () => stay(new Map()),
    decide: (open, message, { asker }) => {
      if (message._tag === "Ask") {
        handled(message.number)
        if (message.breaks) throw new Error("asked to break")
        if (!asker) return stay(open)
        const due = later(`due-${message.number}`, message.afterMs, { _tag: "Due", number: message.number })
        return stay(new Map(open).set(message.number, asker), due)
      }
      const waiting = open.get(message.number)
      const rest = new Map(open)
      rest.delete(message.number)
      if (!waiting) return stay(rest)
      return stay(rest, reply(waiting, message.number), reply(waiting, message.number))
    }
  })

interface Question {
  readonly by: SimulatedProcess
  readonly number: number
  readonly once: boolean
  readonly endsBy: number
  readonly outcomes: string[]
}

/** Throws when a question did not end as it must; how many were answered. */
function live(seed: number): number {
  const simulation = new Simulation({ seed })
  const { chance, network, host } = simulation
  const handled = new Map<number, number>()
  const boot = ({ system, name }: SimulatedProcess): void => {
    const child = permanent(answering((number) => handled.set(number, (handled.get(number) ?? 0) + 1)))
    const tolerates = { crashes: 10_000, within: "1 minute" } as const
    system.startTree(supervisor({ name: "top", tolerates, children: [child] }), name)
  }
  for (const name of names) simulation.start(name, boot)
  const one = (): string => names[chance.below(names.length)] as string
  const questions: Question[] = []
  for (let number = 0; number < 300; number++) {
    simulation.advance(chance.below(120))
    if (chance.fraction() < 0.06) trouble()
    const by = simulation.process(one())
    if (!by || by.life.paused) continue
    const withinMs = 1 + chance.below(3_000)
    const outcomes: string[] = []
    const once = chance.below(3) === 0
    const to = address(one(), "answering", "main")
    const message = { _tag: "Ask", number, afterMs: chance.below(400), breaks: chance.fraction() < 0.05 }
    questions.push({ by, number, once, endsBy: host.now() + withinMs + 16, outcomes })
    by.system[once ? "askOnceThen" : "askThen"](to, message, withinMs, (outcome) => {
      simulation.note(by.name, `question ${number} ends: ${outcome._tag}`)
      if (outcome._tag === "Answer" && outcome.value !== number) simulation.fail("another's answer")
      // Whoever sleeps hears of its deadline when it wakes up.
      const isLate = host.now() > endsBy(number) && !slept.has(by.life)
      if (isLate) simulation.fail(`question ${number} ended ${host.now() - endsBy(number)} ms late`)
      outcomes.push(outcome._tag)
    })
  }
  simulation.mend()
  simulation.advance(10_000)
  for (const { by, number, once, outcomes } of questions) {
    const wanted = by.life.alive ? [1] : [0, 1]
    if (!wanted.includes(outcomes.length))
      simulation.fail(`question ${number} ended ${outcomes.length} times`)
    if (once && (handled.get(number) ?? 0) > 1) simulation.fail(`question ${number} was handled twice`)
    if (outcomes[0] === "Answer" && !handled.has(number)) simulation.fail(`${number} was never handled`)
  }
  return questions.filter(({ outcomes }) => outcomes[0] === "Answer").length

  function endsBy(number: number): number {
    return questions.find((question) => question.number === number)?.endsBy ?? Number.NaN
  }
  function trouble(): void {
    const [name, other, fault] = [one(), one(), chance.below(7)]
    const ms = chance.below(2_500)
    simulation.note(name, `has trouble ${fault} with ${other} for ${ms} ms`)
    if (fault === 0) {
      simulation.crash(name)
      host.after(ms, () => simulation.process(name) ?? simulation.restart(name))
    } else if (fault === 1) {
      const life = simulation.process(name)?.life
      if (life) slept.add(life)
      simulation.pause(name, ms)
    } else if (fault === 2) simulation.disconnect(name, ms)
    else if (fault === 3) {
      network.cut(name)
      host.after(ms, () => network.mend(name))
    } else if (fault === 4) {
      network.cutWay(name, other)
      host.after(ms, () => network.mendWay(name, other))
    } else if (fault === 5) simulation.skew(name, chance.below(60_000) - 30_000)
    else {
      const [loss, doubling] = [chance.fraction() * 0.4, chance.fraction() * 0.6]
      network.weather = { loss, doubling, leastMs: 1, mostMs: [1, 30, 500][chance.below(3)] as number }
    }
  }
}

/** Lives that slept at some time. */
const slept = new WeakSet<object>()
const chosen = process.env.SEED
const seeds = chosen === undefined ? Array.from({ length: 30 }, (_, at) => at + 1) : [Number(chosen)]

test("every question ends exactly once and in time, and one that may be repeated is handled at most once", () => {
  let answered = 0
  for (const seed of seeds) answered += live(seed)
  expect(answered).toBeGreaterThan(100 * seeds.length)
}, 120_000)
