/**
 * How a reader of logs and the node that has them speak: `<node>/logs/main` is asked, one task's log at a time.
 *
 * The reader pulls. Every batch has a sequence number, and asking for what follows number n says that n arrived; so
 * at most two batches wait per reader, a lost answer is asked for again, and a reader that is gone stops asking.
 */
import { Schema } from "effect"
import { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { tagged as message } from "#runtime/tagged.ts"

const text = Schema.String
const whole = Schema.Int
const truth = Schema.Boolean
const optional = Schema.optionalKey

export const LogRequest = Schema.Struct({
  stdout: truth,
  stderr: truth,
  follow: truth,
  details: truth,
  /** Seconds since the epoch, fractions allowed; 0 for all. */
  since: Schema.Number,
  until: Schema.Number,
  /** Lines from the end; absent for all. */
  tail: optional(whole)
})
export type LogRequest = typeof LogRequest.Type

export const LogsMessage = Schema.Union([
  /**
   * Asked; answered by `Opened` or `TooMany`. `container` is known from the task's status, if it is. `copyOf`: not what ran
   * here, but the copy of what ran on that node; nothing more comes of it.
   */
  message("Open", {
    subscription: text,
    task: text,
    container: optional(text),
    copyOf: optional(text),
    request: LogRequest
  }),
  /** Asked; answered by `Batch` or `Gone`. `after` is the last batch taken, 0 for none. */
  message("Pull", { subscription: text, after: whole }),
  /** Told; nobody will pull any more. */
  message("Close", { subscription: text }),
  /** Asked; answered by `Kept`: the tasks of a service, or those whose ids begin so, of which the node keeps lines. */
  message("List", { service: optional(text), task: optional(text) })
])
export type LogsMessage = typeof LogsMessage.Type

/** One line; `data` is base64 of the line with its newline, because logs need not be text. */
export const WireLine = Schema.Struct({
  stream: Schema.Literals(["stdout", "stderr"]),
  timestamp: text,
  details: text,
  data: text
})
export type WireLine = typeof WireLine.Type

export const Batch = message("Batch", {
  /** Equal to the asked `after` when nothing came for a while: ask again. */
  seq: whole,
  lines: Schema.Array(WireLine),
  /** The log ends with this batch. */
  ended: truth,
  /** Why it ended early; absent when it is complete. */
  problem: optional(text)
})
export type Batch = typeof Batch.Type

export const CopyFacts = Schema.Struct({ ...TaskFacts.fields, node: text, newest: text })
export type CopyFacts = typeof CopyFacts.Type

export const LogsAnswer = Schema.Union([
  message("Opened", {}),
  /** This node serves as many readers as it can; `limit` is how many. */
  message("TooMany", { limit: whole }),
  Batch,
  message("Kept", {
    tasks: Schema.Array(TaskFacts),
    /** Of other nodes' tasks: of which node, and how far the copy goes. */
    copies: optional(Schema.Array(CopyFacts))
  }),
  /** The node does not know this subscription (any more): open another. */
  message("Gone", {})
])
export type LogsAnswer = typeof LogsAnswer.Type
