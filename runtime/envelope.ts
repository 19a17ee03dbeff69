/**
 * What travels with a message: who sent it, what led to it, how long its answer is waited for, and whose term it is.
 *
 * `troupe-deadline` is the milliseconds left when the message was sent rather than a time of day: clocks of two
 * machines differ, and a deadline must not depend on by how much. The receiver counts from when it arrives.
 */
import { type Address, isToken, showAddress } from "#runtime/address.ts"
import type { Headers } from "#runtime/transport.ts"

/** The message that led to another one: carried on by everything an actor sends while handling it. */
export interface Cause {
  readonly id: string
  /** W3C trace context, handed on as it came: https://www.w3.org/TR/trace-context/ */
  readonly traceparent?: string
}

export interface Envelope {
  readonly id: string
  /** What the sender calls itself. Authority comes from the subject, which NATS permissions hold it to. */
  readonly from: Address | undefined
  readonly cause: string | undefined
  readonly withinMs: number | undefined
  readonly term: number | undefined
  readonly traceparent: string | undefined
}

export const header = {
  id: "troupe-id",
  from: "troupe-from",
  cause: "troupe-cause",
  deadline: "troupe-deadline",
  term: "troupe-term",
  error: "troupe-error",
  traceparent: "traceparent"
} as const

/** A header never breaks out of its line, whatever a sender put into it. */
const lineBreaks = /[\r\n]+/g

export function writeEnvelope(envelope: Envelope): Headers {
  const headers: Record<string, string> = { [header.id]: envelope.id }
  if (envelope.from) headers[header.from] = showAddress(envelope.from)
  if (envelope.cause !== undefined) headers[header.cause] = envelope.cause.replace(lineBreaks, " ")
  if (envelope.withinMs !== undefined) headers[header.deadline] = String(Math.ceil(envelope.withinMs))
  if (envelope.term !== undefined) headers[header.term] = String(envelope.term)
  if (envelope.traceparent !== undefined) {
    headers[header.traceparent] = envelope.traceparent.replace(lineBreaks, " ")
  }
  return headers
}

/** Reads what is there and well-formed; anything else counts as absent, as from a sender of another version. */
export function readEnvelope(headers: Headers): Envelope {
  return {
    id: headers[header.id] ?? "unnamed",
    from: parseAddress(headers[header.from]),
    cause: headers[header.cause],
    withinMs: wholeNumber(headers[header.deadline]),
    term: wholeNumber(headers[header.term]),
    traceparent: headers[header.traceparent]
  }
}

/** The inverse of `showAddress`. */
function parseAddress(text: string | undefined): Address | undefined {
  const parts = text?.split("/")
  if (parts?.length !== 3 || !parts.every(isToken)) return undefined
  const [home, kind, id] = parts as [string, string, string]
  return { home, kind, id }
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined
  return Number(text)
}
