/** Publishes a stream of facts: numbers them, keeps the newest ones and what all of them come to, and tells followers. */
import type { Schema } from "effect"
import { every, later, tell } from "#runtime/actions.ts"
import { type ActorDefinition, actor } from "#runtime/actor.ts"
import { type Address, showAddress } from "#runtime/address.ts"
import { type Moment, type Step, stay } from "#runtime/behaviour.ts"
import {
  beatMs,
  leaseMs,
  type Place,
  type PublisherMessage,
  ToFollower,
  ToPublisher
} from "#runtime/streams/protocol.ts"

export interface PublisherProps<State> {
  /** What the stream comes to before its first fact. */
  readonly state: State
}

export interface PublisherOptions<State, Fact> {
  readonly kind: string
  /** What one more fact makes of what all before it came to; as pure as any decision. */
  readonly fold: (state: State, fact: Fact) => State
  /** How many facts are kept for followers who missed some; others get a snapshot. Default 1,024. */
  readonly capacity?: number
}

interface Follower {
  readonly address: Address
  readonly until: number
}

/** Belongs to this actor alone and changes in place. */
interface Publishing {
  readonly epoch: string
  readonly since: number
  state: unknown
  seq: number
  /** The newest facts, the last of them number `seq`. */
  kept: unknown[]
  readonly followers: Map<string, Follower>
}

/** So many facts go in one message. */
const batch = 256

const { Facts, Snapshot, Newest } = ToFollower.cases
const beatNow: PublisherMessage = { _tag: "Beat" }

/** What brings a follower from `place` to the newest fact; empty when it is there. */
export function catchUp(
  { epoch, state, seq, kept }: Omit<Publishing, "followers" | "since">,
  place: Place | undefined
): ReadonlyArray<ToFollower> {
  const isKnown = place !== undefined && place.epoch === epoch && place.seq <= seq
  if (!isKnown || place.seq < seq - kept.length) return [Snapshot.make({ epoch, seq, state })]
  const messages: ToFollower[] = []
  for (let after = place.seq; after < seq; after += batch) {
    const at = kept.length - (seq - after)
    messages.push(Facts.make({ epoch, after, facts: kept.slice(at, at + batch) }))
  }
  return messages
}

/** A kind of publisher. Its owner tells it `Publish`; followers of any process tell it `Follow`. */
export function publisher<State, Fact>(
  options: PublisherOptions<State, Fact>
): ActorDefinition<PublisherProps<State>, Publishing, PublisherMessage, never> {
  const { kind, fold, capacity = 1_024 } = options

  const publish = (
    stream: Publishing,
    facts: ReadonlyArray<unknown>,
    now: number
  ): Step<Publishing, never> => {
    if (facts.length === 0) return stay(stream)
    const before = { epoch: stream.epoch, seq: stream.seq }
    for (const fact of facts) stream.state = fold(stream.state as State, fact as Fact)
    stream.seq += facts.length
    stream.kept = [...stream.kept, ...facts].slice(-Math.max(capacity, 0))
    const messages = catchUp(stream, before)
    const living = [...stream.followers.values()].filter(({ until }) => until > now)
    return stay(stream, ...living.flatMap(({ address }) => messages.map((message) => tell(address, message))))
  }

  const beat = (stream: Publishing, now: number): Step<Publishing, never> => {
    for (const [name, { until }] of stream.followers) if (until <= now) stream.followers.delete(name)
    const newest = Newest.make({ epoch: stream.epoch, seq: stream.seq })
    const told = [...stream.followers.values()].map(({ address }) => tell(address, newest))
    return stay(stream, ...told, every("beat", beatMs, stream.since, now, beatNow))
  }

  return actor({
    kind,
    accepts: ToPublisher as unknown as Schema.Codec<PublisherMessage, unknown>,
    start: ({ state }: PublisherProps<State>, { fresh, now }: Moment) =>
      stay<Publishing>(
        { epoch: fresh.id(), since: now, state, seq: 0, kept: [], followers: new Map() },
        later("beat", beatMs, beatNow)
      ),
    decide: (stream: Publishing, message: PublisherMessage, { now }: Moment) => {
      switch (message._tag) {
        case "Publish":
          return publish(stream, message.facts, now)
        case "Follow": {
          const address: Address = message.follower
          stream.followers.set(showAddress(address), { address, until: now + leaseMs })
          return stay(stream, ...catchUp(stream, message.place).map((each) => tell(address, each)))
        }
        case "Beat":
          return beat(stream, now)
      }
    },
    summary: ({ seq, followers }) => `fact ${seq}, ${followers.size} followers`
  })
}
