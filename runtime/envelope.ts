/**
 * What travels with a message: who sent it, what led to it, how long its answer is waited for, and whose term it is.
 *
 * `troupe-deadline` is the milliseconds left when the message was sent rather than a time of day: clocks of two
 * machines differ, and a deadline must not depend on by how much. The receiver counts from when it arrives.
 */
import { type Address, parseAddress, showAddress } from "#runtime/address.ts"
import type { Headers } from "#runtime/transport.ts"

/** The message that led to another one: carried on by everything an actor sends while handling it. */
export interface Cause {
  readonly id: string
  /** W3C trace context as it came with that message: https://www.w3.org/TR/trace-context/ */
  readonly traceparent?: string | undefined
  /** Notes what became of the message, where it is traced. */
  mark?(outcome: string, decideMicros?: number): void
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
  many: "troupe-many",
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

const traceparentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const allZero = /^0+$/

/** A W3C trace context, read; `undefined` where it is none: a broken context ends there. */
export function readTraceparent(
  text: string | null | undefined
): { readonly traceId: string; readonly spanId: string; readonly flags: string } | undefined {
  const [, version, traceId = "", spanId = "", flags = "", more] = traceparentPattern.exec(text ?? "") ?? []
  if (version === undefined || version === "ff" || (version === "00" && more !== undefined)) return undefined
  return allZero.test(traceId) || allZero.test(spanId) ? undefined : { traceId, spanId, flags }
}

/**
 * The trace context of a message that `parent` led to: the same trace and flags, a span of its own. `random` gives
 * numbers from 0 up to 1. Undefined where there is no valid parent: a broken context ends there, as the
 * specification asks, and is not handed on.
 */
export function childSpan(parent: string | undefined, random: () => number): string | undefined {
  const context = readTraceparent(parent)
  if (context === undefined) return undefined
  const half = (): string =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")
  const own = half() + half()
  // All zero means "no span". We speak version 00, whatever newer one we were told in.
  return `00-${context.traceId}-${allZero.test(own) ? "0000000000000001" : own}-${context.flags}`
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined
  return Number(text)
}
