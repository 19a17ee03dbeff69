/**
 * What an actor is before anything runs it: a state, a message, and what follows.
 *
 * A decision computes and asks; it never waits. Time, fresh ids and the sender arrive in a `Moment`,
 * so the same inputs give the same outputs, in production and in simulation alike.
 */
import type { CommonAction } from "#runtime/actions.ts"
import type { Address } from "#runtime/address.ts"
import type { Fresh } from "#runtime/ids.ts"

/** What a decision comes to: the state from now on, and the actions it asks for, in order. */
export interface Step<State, Action> {
  readonly state: State
  readonly actions: ReadonlyArray<Action | CommonAction>
  /** Present when the actor has nothing left to do and ends normally after its actions are started. */
  readonly ends?: true
}

/** Names the asker of one message, so that an answer can be given now or in a later turn. Plain data. */
export interface ReplyTo {
  readonly to: string
  readonly deadline: number
}

/** What surrounds one message. `now` is milliseconds since the epoch, as the host's clock tells. */
export interface Moment {
  readonly now: number
  readonly fresh: Fresh
  readonly self: Address
  /** Who sent the message, as its transport vouches; absent for timers and results of own actions. */
  readonly from?: Address | undefined
  /** Present when the message was asked rather than told. */
  readonly asker?: ReplyTo | undefined
}

export type Decide<State, Message, Action> = (
  state: State,
  message: Message,
  moment: Moment
) => Step<State, Action>

/** Keeps `state` and asks for `actions`. */
// Common actions alone fit every actor: without this signature TypeScript would take them for the actor's own.
export function stay<State>(state: State, ...actions: ReadonlyArray<CommonAction>): Step<State, never>
export function stay<State, Action = never>(
  state: State,
  ...actions: ReadonlyArray<Action | CommonAction>
): Step<State, Action>
export function stay<State, Action = never>(
  state: State,
  ...actions: ReadonlyArray<Action | CommonAction>
): Step<State, Exclude<Action, CommonAction>> {
  return { state, actions: actions as Step<State, Exclude<Action, CommonAction>>["actions"] }
}

/** Ends the actor normally, after starting `actions`. */
export function end<State>(state: State, ...actions: ReadonlyArray<CommonAction>): Step<State, never>
export function end<State, Action = never>(
  state: State,
  ...actions: ReadonlyArray<Action | CommonAction>
): Step<State, Action>
export function end<State, Action = never>(
  state: State,
  ...actions: ReadonlyArray<Action | CommonAction>
): Step<State, Exclude<Action, CommonAction>> {
  return { state, actions: actions as Step<State, Exclude<Action, CommonAction>>["actions"], ends: true }
}
