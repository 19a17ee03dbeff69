/**
 * Makes a recorded actor's decisions again, from the same inputs, and compares what they come to.
 *
 * It only computes: an actor's decision asked for nothing but its state, the message, the moment and, where actors
 * share state, where that stood. Actions are what they were, and are not carried out.
 */
import type { AnyActor } from "#runtime/actor.ts"
import { type Address, parseAddress } from "#runtime/address.ts"
import type { Moment, Step } from "#runtime/behaviour.ts"
import { fingerprint, type Unseen } from "#runtime/fingerprint.ts"
import { Fresh } from "#runtime/ids.ts"
import { fromPlain, type Restored } from "#runtime/plain.ts"
import type { Checkpoint, Decided, Recorded, Recording, Started } from "#runtime/recording.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface ReplayWorld {
  readonly definition: AnyActor
  /** State that actors share, by its name in the recording. */
  readonly shared: ReadonlyMap<string, object>
  readonly secretFields: ReadonlySet<string>
  /** Brings the shared state to where it stood; what it returns is why it cannot. */
  readonly advance: (index: number, time: number) => string | undefined
}

/** One record as it came out the second time. */
export interface ReplayStep {
  readonly record: Recorded
  /**
   * `same` and `different` compare with the recording; `crashed` and `crashed-differently` are about its errors;
   * `began` is a start or a checkpoint; `skipped` is before anything it could begin from; `stopped` ends the replay.
   */
  readonly verdict: "began" | "same" | "different" | "crashed" | "crashed-differently" | "skipped" | "stopped"
  readonly message?: unknown
  readonly before?: unknown
  readonly after?: unknown
  readonly actions?: ReadonlyArray<unknown>
  /** Why it stopped, or what is different. */
  readonly words?: string
}

/** The decisions of `actor`, as `showAddress` names it, oldest first. Ends after the first `different` or `stopped`. */
export function* replay(recording: Recording, actor: string, world: ReplayWorld): Generator<ReplayStep> {
  const self = parseAddress(actor)
  if (!self) return
  const player = new Player(self, world)
  const records = recording.records.filter((record) => record.actor === actor)
  for (const record of records) {
    const step = player.play(record)
    yield step
    if (step.verdict === "different" || step.verdict === "crashed-differently" || step.verdict === "stopped")
      return
  }
}

class Player {
  readonly #self: Address
  readonly #world: ReplayWorld
  readonly #unseen: Unseen
  #state: unknown
  /** The life that is being replayed; none before a start or a checkpoint. */
  #life: number | undefined
  /** The number of the decision that was made again last. */
  #seq = 0
  #checkpoint: Checkpoint | undefined
  /** The error of the last decision, whose `Crashed` comes next. */
  #error: string | undefined

  constructor(self: Address, world: ReplayWorld) {
    this.#self = self
    this.#world = world
    this.#unseen = { shared: new Set(world.shared.values()), secret: world.secretFields }
  }

  play(record: Recorded): ReplayStep {
    switch (record._tag) {
      case "Started":
        return this.#start(record)
      case "Checkpoint":
        this.#checkpoint = record
        return { record, verdict: this.#life === record.life ? "began" : "skipped" }
      case "Decided":
        return this.#decide(record)
      case "Crashed":
        return this.#crash(record)
    }
  }

  #start(record: Started): ReplayStep {
    if (record.withheld !== undefined)
      return stopped(record, `its props were not recorded: ${record.withheld}`)
    const unready = this.#advance(record)
    if (unready !== undefined) return stopped(record, unready)
    const props = this.#restore(record.props)
    if (typeof props === "string") return stopped(record, props)
    if (props.redacted) return stopped(record, "its props hold a secret, which was not recorded")
    this.#life = record.life
    this.#seq = record.seq
    const run = (moment: Moment) =>
      this.#world.definition.start(props.value, moment) as Step<unknown, unknown>
    return this.#run(record, props.value, run)
  }

  #decide(record: Decided): ReplayStep {
    const follows = this.#life === record.life && this.#seq + 1 === record.seq
    if (!follows) {
      if (this.#checkpoint?.life !== record.life || this.#checkpoint.seq !== record.seq) {
        return this.#life === record.life
          ? stopped(record, "decisions before this one were passed over: there were too many at once")
          : { record, verdict: "skipped" }
      }
      const state = this.#begin(record, this.#checkpoint)
      if (state !== undefined) return stopped(record, state)
    }
    this.#seq = record.seq
    if (record.withheld !== undefined)
      return stopped(record, `the message was not recorded: ${record.withheld}`)
    const unready = this.#advance(record)
    if (unready !== undefined) return stopped(record, unready)
    const message = this.#restore(record.message)
    if (typeof message === "string") return stopped(record, message)
    if (message.redacted) return stopped(record, "the message held a secret, which was not recorded")
    const from = parseAddress(record.from)
    const run = (moment: Moment) =>
      this.#world.definition.decide(this.#state, message.value, {
        ...moment,
        ...(from && { from }),
        ...(record.asker && { asker: record.asker })
      }) as Step<unknown, unknown>
    return this.#run(record, message.value, run)
  }

  /** Takes the state of a checkpoint, which is that before the decision of `record`. */
  #begin(record: Decided, checkpoint: Checkpoint): string | undefined {
    const unready = this.#advance(record)
    if (unready !== undefined) return unready
    const state = this.#restore(checkpoint.state)
    if (typeof state === "string") return state
    if (state.redacted) return "its checkpoint held a secret, which was not recorded"
    this.#state = state.value
    this.#life = record.life
    return undefined
  }

  #run(
    record: Started | Decided,
    message: unknown,
    run: (moment: Moment) => Step<unknown, unknown>
  ): ReplayStep {
    const before = this.#state
    try {
      const step = run({ now: record.now, fresh: new Fresh(record.fresh), self: this.#self })
      this.#state = step.state
      const seen = { record, message, before, after: step.state, actions: step.actions }
      if (record.hash === undefined) {
        return { ...seen, verdict: "different", words: "this decision threw when it was recorded" }
      }
      const same = fingerprint(this.#unseen, step.state, step.actions).hash === record.hash
      if (!same) return { ...seen, verdict: "different", words: "it came to another state, or other actions" }
      return { ...seen, verdict: record._tag === "Started" ? "began" : "same" }
    } catch (error) {
      const words = wordsOf(error)
      this.#error = words
      if (record.hash !== undefined)
        return { record, message, before, verdict: "different", words: `it threw: ${words}` }
      return { record, message, before, verdict: "crashed", words }
    }
  }

  #crash(record: Recorded & { readonly _tag: "Crashed" }): ReplayStep {
    const error = this.#error
    const wasReplayed = this.#life === record.life
    this.#error = undefined
    this.#life = undefined
    this.#state = undefined
    if (!wasReplayed || error === undefined || record.error.includes(error)) {
      return { record, verdict: "crashed", words: record.error }
    }
    return { record, verdict: "crashed-differently", words: `recorded: ${record.error}; now: ${error}` }
  }

  #advance({ shared }: Started | Decided): string | undefined {
    return shared && this.#world.advance(shared.index, shared.time)
  }

  #restore(plain: unknown): Restored | string {
    try {
      return fromPlain(plain, this.#world.shared)
    } catch (error) {
      return wordsOf(error)
    }
  }
}

const stopped = (record: Recorded, words: string): ReplayStep => ({ record, verdict: "stopped", words })
