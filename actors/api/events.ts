/** What is told to other systems of each change: the shape of an event, and where in the stream it stands. */
import { Schema } from "effect"

const text = Schema.String
const whole = Schema.Int
const optional = Schema.optionalKey

/**
 * Where an event stands: the ledger entry that it came from, and its position, from 1, among the `of` events of that
 * entry. `position` equal to `of` means that everything up to that entry is known.
 */
export const Sequence = Schema.Struct({ index: whole, position: whole, of: whole })
export type Sequence = typeof Sequence.Type

/** The state behind an object, as far as it concerns other systems: never a spec, an environment or a secret. */
export const Facts = Schema.Struct({
  name: optional(text),
  serviceId: optional(text),
  nodeId: optional(text),
  slot: optional(whole),
  image: optional(text),
  mode: optional(text),
  replicas: optional(whole),
  role: optional(text),
  availability: optional(text),
  leader: optional(Schema.Boolean),
  driver: optional(text),
  state: optional(text),
  desiredState: optional(text),
  message: optional(text),
  error: optional(text),
  exitCode: optional(whole)
})
export type Facts = typeof Facts.Type

/**
 * One change of one object, on `troupe.event.v1.<cluster>.<resource>.<action>.<id>`.
 *
 * `previous` is the event before it: who has not seen that one has missed something, and asks
 * `troupe.api.v1.event.list` for what came after the last one it knows.
 */
export const ClusterEvent = Schema.Struct({
  sequence: Sequence,
  previous: Sequence,
  /** The leader's time, RFC 3339. */
  time: text,
  resource: text,
  action: Schema.Literals(["create", "update", "remove"]),
  id: text,
  /** The object's version; at removal the last one it had. */
  version: whole,
  /** As it is now; at removal as it was. */
  object: Facts,
  /** What of `object` was different before; only in updates. */
  before: optional(Facts),
  /** Who asked for it, and why; absent where it is not known. */
  who: optional(text),
  why: optional(text)
})
export type ClusterEvent = typeof ClusterEvent.Type

export const eventSubject = (cluster: string, event: ClusterEvent): string =>
  `troupe.event.v1.${cluster}.${event.resource}.${event.action}.${event.id}`

/** Orders two places in the stream: negative when `a` is before `b`. */
export const compareSequences = (a: Sequence, b: Sequence): number =>
  a.index === b.index ? a.position - b.position : a.index - b.index
