/**
 * A random life of three processes: actors that tell, ask, watch, set timers, spawn, end and crash, while processes
 * crash, sleep and lose each other. Everything is drawn from the seed. What it comes to is said by the trace.
 */
import { Schema } from "effect"
import { cancel, dismiss, every, later, reply, spawn, tell, unwatch, watch } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { type Address, address } from "#runtime/address.ts"
import { end, stay } from "#runtime/behaviour.ts"
import type { Fresh } from "#runtime/ids.ts"
import { type SimulatedProcess, Simulation } from "#runtime/simulation.ts"
import { many, permanent, supervisor } from "#runtime/supervisor.ts"

const names = ["n1", "n2", "n3"]
const workers = ["w1", "w2", "w3", "w4"]

const Place = Schema.Struct({ home: Schema.String, kind: Schema.String, id: Schema.String })
const Message = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Add"), amount: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Sum") }),
  Schema.Struct({ _tag: Schema.Literal("Hire"), id: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Fire"), id: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Watch"), target: Place }),
  Schema.Struct({ _tag: Schema.Literal("Unwatch"), target: Place }),
  Schema.Struct({ _tag: Schema.Literal("Over"), target: Place }),
  Schema.Struct({ _tag: Schema.Literal("Pass"), to: Place, amount: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Beat") }),
  Schema.Struct({ _tag: Schema.Literal("Snooze"), afterMs: Schema.Int }),
  Schema.Struct({ _tag: Schema.Literal("Wake") }),
  Schema.Struct({ _tag: Schema.Literal("Break") }),
  Schema.Struct({ _tag: Schema.Literal("Finish") })
])
type Message = typeof Message.Type

interface State {
  readonly sum: number
  readonly since: number
}

/** Does everything that an actor can do. */
const busy = (kind: string) =>
  actor<undefined, State, Message, never>({
    kind,
    accepts: Message,
    start: (_, { now }) => stay({ sum: 0, since: now }, every("beat", 700, now, now, { _tag: "Beat" })),
    decide: (state, message, { now, asker, fresh }) => {
      switch (message._tag) {
        case "Add":
          return stay({ ...state, sum: state.sum + message.amount })
        case "Sum":
          return asker ? stay(state, reply(asker, state.sum)) : stay(state)
        case "Hire":
          return stay(state, spawn("worker", message.id, undefined))
        case "Fire":
          return stay(state, dismiss("worker", message.id))
        case "Watch":
          return stay(state, watch(message.target, { _tag: "Over", target: message.target }))
        case "Unwatch":
          return stay(state, unwatch(message.target))
        case "Over":
          return stay({ ...state, sum: state.sum + 1 })
        case "Pass":
          return stay(state, tell(message.to, { _tag: "Add", amount: message.amount + fresh.below(10) }))
        case "Beat":
          return stay(state, every("beat", 700, state.since, now, { _tag: "Beat" }))
        case "Snooze":
          return stay(state, later("wake", message.afterMs, { _tag: "Wake" }), cancel("nothing"))
        case "Wake":
          return stay(state, cancel("beat"))
        case "Break":
          throw new Error("broken by hand")
        case "Finish":
          return kind === "worker" ? end(state) : stay(state)
      }
    }
  })

const boot = ({ system, name }: SimulatedProcess): void => {
  const children = [permanent(busy("boss")), many(busy("worker"), { restart: "transient" })]
  system.startTree(supervisor({ name: "top", strategy: "rest-for-one", children }), name)
}

const one = <Value>(chance: Fresh, values: ReadonlyArray<Value>): Value =>
  values[chance.below(values.length)] as Value

/** Lives for a minute and mends everything at its end. */
export function run(seed: number): Simulation {
  const simulation = new Simulation({ seed })
  const { chance, network } = simulation
  for (const name of names) simulation.start(name, boot)
  const place = (): Address =>
    chance.fraction() < 0.3
      ? address(one(chance, names), "boss", "main")
      : address(one(chance, names), "worker", one(chance, workers))
  for (let step = 0; step < 400; step++) {
    simulation.advance(chance.below(300))
    if (chance.fraction() < 0.12) breakSomething(simulation)
    const process = simulation.process(one(chance, names))
    if (!process) continue
    const to = place()
    if (chance.fraction() < 0.3) {
      process.system.askThen(to, { _tag: "Sum" }, 200 + chance.below(2_000), (outcome) => {
        const words = outcome._tag === "Answer" ? String(outcome.value) : outcome._tag
        simulation.note(process.name, `hears ${words} from ${to.home}/${to.kind}/${to.id}`)
      })
    } else process.system.tell(to, word(chance, place))
  }
  simulation.mend()
  network.weather = { loss: 0, doubling: 0, leastMs: 0, mostMs: 0 }
  simulation.advance(60_000)
  for (const name of names) {
    simulation.note(name, JSON.stringify(simulation.process(name)?.system.trees()))
  }
  return simulation
}

function word(chance: Fresh, place: () => Address): Message {
  const dice = chance.below(20)
  if (dice < 5) return { _tag: "Hire", id: one(chance, workers) }
  if (dice < 6) return { _tag: "Fire", id: one(chance, workers) }
  if (dice < 10) return { _tag: "Watch", target: place() }
  if (dice < 11) return { _tag: "Unwatch", target: place() }
  if (dice < 15) return { _tag: "Pass", to: place(), amount: chance.below(100) }
  if (dice < 17) return { _tag: "Snooze", afterMs: chance.below(2_000) }
  if (dice < 18) return { _tag: "Finish" }
  return { _tag: "Break" }
}

function breakSomething(simulation: Simulation): void {
  const { chance, network } = simulation
  const name = one(chance, names)
  const other = one(chance, names)
  const ms = chance.below(2) === 0 ? chance.below(500) : chance.below(12_000)
  const fault = chance.below(8)
  simulation.note(name, `has trouble ${fault} for ${ms} ms`)
  const afterwards = (mend: () => void): void => void simulation.host.after(ms, mend)
  switch (fault) {
    case 0:
      simulation.crash(name)
      afterwards(() => simulation.process(name) ?? simulation.restart(name))
      return
    case 1:
      simulation.pause(name, ms)
      return
    case 2:
      simulation.disconnect(name, ms)
      return
    case 3:
      network.cut(name)
      afterwards(() => network.mend(name))
      return
    case 4:
      network.cutWay(name, other)
      afterwards(() => network.mendWay(name, other))
      return
    case 5:
      simulation.skew(name, chance.below(20_000) - 10_000)
      return
    case 6:
      network.heal()
      return
    default:
      network.weather = {
        loss: chance.below(2) * chance.fraction() * 0.3,
        doubling: chance.below(2) * chance.fraction() * 0.3,
        leastMs: 1,
        mostMs: one(chance, [1, 5, 50, 300]),
        inOrder: chance.below(2) === 0
      }
  }
}
