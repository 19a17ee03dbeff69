/** What any actor may ask for, whatever it is about. Everything else it asks for goes to its own `perform`. */
import type { Address } from "#runtime/address.ts"
import type { ReplyTo } from "#runtime/behaviour.ts"

export type CommonAction =
  /**
   * Sends and forgets. `refused` comes back to this actor when it is known at once that the message goes nowhere: a
   * receiver in this process that is not there or whose mailbox is full, or a transport that is down. It says nothing
   * about mailboxes of other processes; whoever must know about those, asks.
   */
  | { readonly _tag: "Tell"; readonly to: Address; readonly message: unknown; readonly refused?: unknown }
  | { readonly _tag: "Reply"; readonly to: ReplyTo; readonly message: unknown }
  /** Published on this actor's `out` lane. */
  | { readonly _tag: "Announce"; readonly message: unknown }
  /**
   * Starts a child of the nearest `many` group of that kind, beside this actor or above it in the tree. One that
   * runs already goes on, and takes `props` for the case that it must start again.
   */
  | { readonly _tag: "Spawn"; readonly kind: string; readonly id: string; readonly props: unknown }
  /** Ends a child of a `many` group in order: its own `stopWithin`, then kill. */
  | { readonly _tag: "Dismiss"; readonly kind: string; readonly id: string }
  /** Sends `message` to this actor after `afterMs`; a later one under the same key replaces it. */
  | { readonly _tag: "Later"; readonly key: string; readonly afterMs: number; readonly message: unknown }
  | { readonly _tag: "Cancel"; readonly key: string }
  /**
   * Sends `message` to this actor once `target` has ended for good or its node is gone; at once when nobody is there.
   * One notice per watch; a second watch of the same address only replaces the message. Like timers, watches end
   * with the life that asked for them: `start` asks again.
   */
  | { readonly _tag: "Watch"; readonly target: Address; readonly message: unknown }
  | { readonly _tag: "Unwatch"; readonly target: Address }

/** `refused`, where given, is what this actor is told when the message goes nowhere; see `Tell`. */
export const tell = (to: Address, message: unknown, refused?: unknown): CommonAction =>
  refused === undefined ? { _tag: "Tell", to, message } : { _tag: "Tell", to, message, refused }
export const reply = (to: ReplyTo, message: unknown): CommonAction => ({ _tag: "Reply", to, message })
export const announce = (message: unknown): CommonAction => ({ _tag: "Announce", message })
export const spawn = (kind: string, id: string, props: unknown): CommonAction => ({
  _tag: "Spawn",
  kind,
  id,
  props
})
export const dismiss = (kind: string, id: string): CommonAction => ({ _tag: "Dismiss", kind, id })
export const later = (key: string, afterMs: number, message: unknown): CommonAction => ({
  _tag: "Later",
  key,
  afterMs,
  message
})
export const cancel = (key: string): CommonAction => ({ _tag: "Cancel", key })
export const watch = (target: Address, message: unknown): CommonAction => ({ _tag: "Watch", target, message })
export const unwatch = (target: Address): CommonAction => ({ _tag: "Unwatch", target })

/**
 * `later` for what comes again and again: `message` at the next of the moments `since + n × periodMs`. Asked for anew
 * with each of these messages it neither drifts by the time that handling takes nor makes up for what was missed.
 */
export function every(
  key: string,
  periodMs: number,
  since: number,
  now: number,
  message: unknown
): CommonAction {
  const left = periodMs - ((((now - since) % periodMs) + periodMs) % periodMs)
  // A machine's timers may come a moment early: what is handled then is that moment's message already.
  const isEarly = left <= Math.min(2, periodMs / 4)
  return later(key, isEarly ? left + periodMs : left, message)
}
