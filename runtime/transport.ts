/** How bytes travel between processes. NATS in production, memory in tests; both pass one contract suite. */
import { Context, type Effect } from "effect"
import type { NotHere, TimedOut, Unreachable } from "#runtime/errors.ts"

export type Headers = Readonly<Record<string, string>>

export interface Delivery {
  readonly subject: string
  readonly headers: Headers
  readonly body: Uint8Array
  /** Answers a request; absent when nobody asked. At most one answer is sent. */
  readonly respond?: (headers: Headers, body: Uint8Array) => void
}

export interface Subscription {
  readonly unsubscribe: () => void
}

export interface TransportService {
  readonly isConnected: () => boolean
  /** What one publish carries, in bytes; larger bodies go in parts, those above `largestMessage` (`chunks.ts`) not. */
  readonly maxPayload: () => number
  /**
   * At most once. Throws `Unreachable` while disconnected and while too much waits to be sent: nothing is queued behind
   * the caller's back. Throws `PayloadTooLarge` for what is not carried at all.
   */
  readonly publish: (subject: string, headers: Headers, body: Uint8Array) => void
  /**
   * Delivers in the order of each publisher, whether its messages came in parts or not. With `queue`, one member of the
   * group gets each message, and none that comes in parts.
   */
  readonly subscribe: (
    pattern: string,
    options: { readonly queue?: string },
    deliver: (delivery: Delivery) => void
  ) => Subscription
  /** `NotHere` at once when nobody subscribes to the subject. */
  readonly request: (
    subject: string,
    headers: Headers,
    body: Uint8Array,
    withinMs: number
  ) => Effect.Effect<Delivery, NotHere | TimedOut | Unreachable>
  /**
   * `request` for plain code: calls `done` once, in a later turn. What it returns takes the question back, and
   * `done` is not called any more.
   */
  readonly call: (
    subject: string,
    headers: Headers,
    body: Uint8Array,
    withinMs: number,
    done: (outcome: CallOutcome) => void
  ) => () => void
  /** Told of every connect and disconnect, and of asynchronous errors such as a permission denied. */
  readonly onStatus: (listen: (status: TransportStatus) => void) => Subscription
  readonly counters: () => TransportCounters
}

/** What went wrong since it was made, and how much waits to be sent now. */
export interface TransportCounters {
  readonly disconnects: number
  /** Planned changes of servers, which lose nothing. */
  readonly moves: number
  readonly problems: number
  /** What was refused because too much waited to be sent. */
  readonly refusals: number
  /** Messages of which not all parts came. */
  readonly lostParts: number
  readonly waitingBytes: number
}

/** An answer, or why there is none; an answer is what carries no `_tag`. */
export type CallOutcome = Delivery | NotHere | TimedOut | Unreachable

export type TransportStatus =
  | { readonly _tag: "Connected"; readonly server: string }
  | { readonly _tag: "Disconnected" }
  | { readonly _tag: "Problem"; readonly message: string }

export class Transport extends Context.Service<Transport, TransportService>()("troupe/runtime/Transport") {}
