/** Absence: not here, not now. Whoever meets one of these tries again, later or elsewhere, or says so upward. */
import { Schema } from "effect"

/** Nobody with this address lives where it was sent; known at once, without waiting. */
export class NotHere extends Schema.TaggedError<NotHere>()("NotHere", {
  address: Schema.String,
  message: Schema.String
}) {}

/** No answer by the deadline; the message may or may not have been handled. */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", {
  address: Schema.String,
  withinMs: Schema.Number,
  message: Schema.String
}) {}

/** The receiver refuses more until it has caught up. */
export class MailboxFull extends Schema.TaggedError<MailboxFull>()("MailboxFull", {
  address: Schema.String,
  capacity: Schema.Number,
  message: Schema.String
}) {}

/** The transport is down; nothing was sent. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {
  address: Schema.String,
  message: Schema.String
}) {}

/** The receiver has no meaning for this message. */
export class NotUnderstood extends Schema.TaggedError<NotUnderstood>()("NotUnderstood", {
  address: Schema.String,
  message: Schema.String
}) {}

/** The receiver ended before it answered. */
export class Stopped extends Schema.TaggedError<Stopped>()("Stopped", {
  address: Schema.String,
  message: Schema.String
}) {}

export type Absence = NotHere | TimedOut | MailboxFull | Unreachable | NotUnderstood | Stopped
