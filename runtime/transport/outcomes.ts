/** How sending can fail, in the words that every transport uses, and the one way from a call to an Effect. */
import { Buffer } from "node:buffer"
import { Effect } from "effect"
import { header } from "#runtime/envelope.ts"
import { NotHere, TimedOut, Unreachable } from "#runtime/errors.ts"
import type { CallOutcome, Delivery, Headers, TransportService } from "#runtime/transport.ts"

/** A body that no single message can carry. It is the sender's mistake, so it is thrown, never retried. */
export class PayloadTooLarge extends Error {
  override readonly name = "PayloadTooLarge"
  readonly subject: string
  readonly bytes: number
  readonly limit: number
  constructor(subject: string, bytes: number, limit: number) {
    super(`Cannot send to ${subject}: ${bytes} bytes are more than the ${limit} that a message carries`)
    this.subject = subject
    this.bytes = bytes
    this.limit = limit
  }
}

export const tooLarge = (subject: string, bytes: number, limit: number): PayloadTooLarge =>
  new PayloadTooLarge(subject, bytes, limit)

export const notHere = (address: string): NotHere =>
  new NotHere({ address, message: `Cannot reach ${address}: nobody is there` })

export const timedOut = (address: string, withinMs: number): TimedOut =>
  new TimedOut({ address, withinMs, message: `No answer from ${address} within ${withinMs} ms` })

export const unreachable = (address: string, why: string): Unreachable =>
  new Unreachable({ address, message: `Cannot send to ${address}: ${why}` })

/** The server takes what is said slower than it is said; nothing of this was sent. */
export const bufferFull = (address: string, waiting: number): Unreachable =>
  unreachable(address, `${waiting} bytes wait to be sent before it`)

/** What a group answers to the first of several parts, as headers and body. */
export const noParts = (subject: string): readonly [Headers, Uint8Array] => {
  const message = `Cannot send to ${subject}: a group takes no messages in parts`
  return [{ [header.error]: "Unreachable" }, Buffer.from(JSON.stringify({ message }))]
}

const isAnswer = (outcome: CallOutcome): outcome is Delivery => !("_tag" in outcome)

/** A call as an Effect; interrupting it takes the question back. A body too large is a defect. */
export const requestWith = (
  call: TransportService["call"],
  ...[subject, headers, body, withinMs]: Parameters<TransportService["request"]>
): ReturnType<TransportService["request"]> =>
  Effect.callback((resume) => {
    const cancel = call(subject, headers, body, withinMs, (outcome) =>
      resume(isAnswer(outcome) ? Effect.succeed(outcome) : Effect.fail(outcome))
    )
    return Effect.sync(cancel)
  })
