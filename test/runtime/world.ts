/** One thread, imitated time, processes on one bus, and actors that do as they are told. */
import { Schema } from "effect"
import type { CommonAction } from "#runtime/actions.ts"
import { reply } from "#runtime/actions.ts"
import { type AnyActor, actor, type MailboxOptions } from "#runtime/actor.ts"
import { type Address, showAddress } from "#runtime/address.ts"
import { end, type ReplyTo, stay } from "#runtime/behaviour.ts"
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { LocalSystem, SystemOptions } from "#runtime/live.ts"
import type { PerformExit, Performer } from "#runtime/performer.ts"
import { Simulation } from "#runtime/simulation.ts"
import type { TreeEvent } from "#runtime/slots.ts"
import type { MemoryBus, MemoryTransport } from "#runtime/transport/memory.ts"
import type { Weather } from "#runtime/transport/network.ts"
import type { Outcome } from "#runtime/wire.ts"

/** An action that was started and waits for the test to say how it goes on. */
export interface Performance {
  readonly self: string
  readonly action: { readonly _tag: string }
  readonly done: (exit: PerformExit) => void
  interrupted: boolean
}

/** Notes every action; those interrupted are done at once, as a well-behaved driver is. */
export class Stage implements Performer {
  readonly running: Performance[] = []
  /** Actions that go on for ever, even when interrupted. */
  stubborn = false

  perform: Performer["perform"] = (_definition, action, self, done) => {
    const performance: Performance = {
      self: showAddress(self),
      action: action as { _tag: string },
      done: (exit) => {
        const place = this.running.indexOf(performance)
        if (place >= 0) this.running.splice(place, 1)
        done(exit)
      },
      interrupted: false
    }
    this.running.push(performance)
    return {
      interrupt: () => {
        performance.interrupted = true
        if (!this.stubborn) performance.done({ error: new Error("interrupted") })
      }
    }
  }
}

export interface Process {
  readonly system: LocalSystem
  readonly transport: MemoryTransport
  readonly stage: Stage
  readonly events: TreeEvent[]
}

/** Messages arrive in the moment in which they are sent, so that a test needs to let no time pass. */
const instant: Weather = { loss: 0, doubling: 0, leastMs: 0, mostMs: 0 }

export class World {
  readonly simulation: Simulation
  readonly host: VirtualHost
  readonly #stages = new Map<string, Stage>()
  readonly #events = new Map<string, TreeEvent[]>()

  constructor(seed = 1, weather = instant) {
    this.simulation = new Simulation({
      seed,
      cluster: "blue",
      performer: (name) => this.#stages.get(name) as Stage,
      report: (name, event) => this.#events.get(name)?.push(event)
    })
    this.simulation.network.weather = weather
    this.host = this.simulation.host
  }

  get bus(): MemoryBus {
    return this.simulation.bus
  }

  /** Starts a process, or its next life, which is started with the same options. */
  process(nodeId: string, options: Partial<SystemOptions> = {}): Process {
    const { simulation } = this
    const stage = new Stage()
    const events: TreeEvent[] = []
    this.#stages.set(nodeId, stage)
    this.#events.set(nodeId, events)
    const isNew = !simulation.names().includes(nodeId)
    const { system, transport } = isNew
      ? simulation.start(nodeId, () => {}, options)
      : simulation.restart(nodeId)
    return { system, transport, stage, events }
  }

  /** Asks and lets everything that is due now happen; undefined when there is no outcome yet. */
  ask(system: LocalSystem, to: Address, message: unknown, withinMs = 1_000): Outcome | undefined {
    let heard: Outcome | undefined
    system.askThen(to, message, withinMs, (outcome) => {
      heard = outcome
    })
    this.host.settle()
    return heard
  }
}

const tag = <const Tag extends string>(name: Tag) => ({ _tag: Schema.Literal(name) })

export const CounterMessage = Schema.Union([
  Schema.Struct({ ...tag("Add"), amount: Schema.Int }),
  /** Answered by `{ sum }`. */
  Schema.Struct(tag("Get")),
  /** Asked, and never answered. */
  Schema.Struct(tag("Keep")),
  /** A bug. */
  Schema.Struct(tag("Explode")),
  /** Ends normally. */
  Schema.Struct(tag("Finish")),
  /** Asks for whatever action stands in it. */
  Schema.Struct({ ...tag("Do"), action: Schema.Any })
])
export type CounterMessage = typeof CounterMessage.Type

interface Counter {
  readonly sum: number
  readonly kept: ReadonlyArray<ReplyTo>
}

export interface CounterProps {
  readonly from?: number
  /** Asked for when it starts. */
  readonly actions?: ReadonlyArray<CommonAction | { readonly _tag: string }>
}

/** Sums what it is told and asks for whatever it is told to ask for. `onStart` may throw. */
export const counter = (
  kind = "counter",
  options: {
    readonly mailbox?: MailboxOptions
    readonly onStart?: (props: CounterProps | undefined) => void
  } = {}
): AnyActor =>
  actor<CounterProps | undefined, Counter, CounterMessage, { readonly _tag: string }>({
    kind,
    accepts: CounterMessage,
    ...(options.mailbox && { mailbox: options.mailbox }),
    start: (props) => {
      options.onStart?.(props)
      return stay({ sum: props?.from ?? 0, kept: [] }, ...(props?.actions ?? []))
    },
    decide: (state, message, moment) => {
      switch (message._tag) {
        case "Add":
          return stay({ ...state, sum: state.sum + message.amount })
        case "Get":
          return moment.asker ? stay(state, reply(moment.asker, { sum: state.sum })) : stay(state)
        case "Keep":
          return stay({ ...state, kept: moment.asker ? [...state.kept, moment.asker] : state.kept })
        case "Explode":
          throw new Error("boom")
        case "Finish":
          return end(state)
        case "Do":
          return stay(state, message.action as CommonAction)
      }
    },
    perform: () => {
      throw new Error("the stage performs")
    },
    summary: (state) => `sum ${state.sum}`
  })
