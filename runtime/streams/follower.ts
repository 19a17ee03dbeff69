/**
 * Follows a stream of facts and tells its consumer each of them once and in order, whatever is lost, doubled or brought
 * out of order on the way, and whenever the publisher begins anew.
 */
import type { Schema } from "effect"
import { type CommonAction, every, tell } from "#runtime/actions.ts"
import { type ActorDefinition, actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"
import { type Moment, stay } from "#runtime/behaviour.ts"
import {
  type FollowerMessage,
  follow,
  type Place,
  renewMs,
  type ToConsumer,
  ToFollower
} from "#runtime/streams/protocol.ts"

export interface FollowerProps {
  readonly publisher: Address
  /** An actor of the same process, so that what it is told does not get lost again. */
  readonly consumer: Address
}

/** How far a follower has come; changes in place. */
export interface Following {
  place: Place | undefined
  /** Facts that came before their turn, by number. */
  readonly early: Map<number, unknown>
  /** Lives of the publisher that are over: what still comes of them is ignored. */
  readonly over: string[]
}

export interface Heard {
  readonly told: ReadonlyArray<ToConsumer>
  /** Something is missing: the publisher is to be told where we are. */
  readonly asks: boolean
}

/** More than this is not kept before its turn; it comes again when it was asked for. */
const earlyKept = 4_096
const livesRemembered = 16

export const following = (): Following => ({ place: undefined, early: new Map(), over: [] })

const nothing: Heard = { told: [], asks: false }

/** What follows from one word of the publisher. */
export function hear(state: Following, message: FollowerMessage): Heard {
  if (message._tag === "Renew") return { told: [], asks: true }
  const { place, early } = state
  if (state.over.includes(message.epoch)) return nothing
  const isOurs = place?.epoch === message.epoch
  switch (message._tag) {
    case "Snapshot": {
      if (isOurs && message.seq <= place.seq) return nothing
      for (const seq of early.keys()) if (!isOurs || seq <= message.seq) early.delete(seq)
      if (place && !isOurs) state.over.push(place.epoch)
      if (state.over.length > livesRemembered) state.over.shift()
      state.place = { epoch: message.epoch, seq: message.seq }
      const facts = inTurn(state)
      const restated: ToConsumer = { _tag: "Restated", state: message.state }
      return {
        told: facts.length > 0 ? [restated, { _tag: "Told", facts }] : [restated],
        asks: early.size > 0
      }
    }
    case "Facts": {
      if (!isOurs) return { told: [], asks: true }
      message.facts.forEach((fact, i) => {
        const seq = message.after + 1 + i
        if (seq > place.seq && early.size < earlyKept) early.set(seq, fact)
      })
      const facts = inTurn(state)
      return { told: facts.length > 0 ? [{ _tag: "Told", facts }] : [], asks: early.size > 0 }
    }
    case "Newest":
      return { told: [], asks: !isOurs || message.seq > place.seq }
  }
}

/** The facts whose turn it is now. */
function inTurn(state: Following): ReadonlyArray<unknown> {
  const { early } = state
  let { epoch, seq } = state.place as Place
  const facts: unknown[] = []
  while (early.has(seq + 1)) {
    seq++
    facts.push(early.get(seq))
    early.delete(seq)
  }
  state.place = { epoch, seq }
  return facts
}

/** Asked once, the answer gets this long before the question is repeated. */
const askAgainMs = 250

interface FollowerState extends Following {
  readonly props: FollowerProps
  readonly since: number
  askedAt: number
}

/** A kind of follower; one per stream and consumer. */
export const follower = (
  kind: string
): ActorDefinition<FollowerProps, FollowerState, FollowerMessage, never> =>
  actor({
    kind,
    accepts: ToFollower as unknown as Schema.Codec<FollowerMessage, unknown>,
    start: (props: FollowerProps, { self, now }: Moment) =>
      stay<FollowerState>(
        { ...following(), props, since: now, askedAt: now },
        tell(props.publisher, follow(self, undefined)),
        renewal(now, now)
      ),
    decide: (state: FollowerState, message: FollowerMessage, { self, now }: Moment) => {
      const { told, asks } = hear(state, message)
      const actions: CommonAction[] = told.map((each) => tell(state.props.consumer, each))
      const isTimer = message._tag === "Renew"
      if (isTimer) actions.push(renewal(state.since, now))
      if (asks && (isTimer || now - state.askedAt >= askAgainMs)) {
        state.askedAt = now
        actions.push(tell(state.props.publisher, follow(self, state.place)))
      }
      return stay(state, ...actions)
    },
    summary: ({ place }) => (place ? `fact ${place.seq}` : "nothing heard yet")
  })

const renewal = (since: number, now: number): CommonAction =>
  every("renew", renewMs, since, now, { _tag: "Renew" })
