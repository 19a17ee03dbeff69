/**
 * What one actor tells another elsewhere in one turn, as one publish.
 *
 * A publish costs its sender, the server and its receiver many times what a small message in it costs. So messages that
 * follow each other from one sender to one receiver share it: the headers are those of the first one, `troupe-many` says
 * how many there are, and the body is their JSON array. The first has the id in the headers, the others that id, a dot
 * and their place; where their causes differ, `troupe-cause` names one for each. A message alone goes out as ever.
 */
import type { Address } from "#runtime/address.ts"
import { type Cause, type Envelope, header, writeEnvelope } from "#runtime/envelope.ts"
import type { Headers } from "#runtime/transport.ts"

/** Far below what any server takes at once; what a publish costs is hardly felt in one of this size. In characters. */
const mostText = 16 * 1024
/** A larger message goes by itself, in characters: sharing would save it next to nothing. */
export const largestInBundle = 4 * 1024

/** One message of a bundle, and who must hear that it was not sent. */
export interface Told {
  readonly message: unknown
  readonly cause: Cause | undefined
  /** The message's own entry in the trace, where it is traced. */
  readonly sent: Cause | undefined
  readonly refused: (() => void) | undefined
}

export class Bundle {
  readonly subject: string
  readonly to: Address
  readonly envelope: Envelope
  readonly told: Told[] = []
  #text = ""

  constructor(subject: string, to: Address, envelope: Envelope) {
    this.subject = subject
    this.to = to
    this.envelope = envelope
  }

  /** Whether a message of this length may join: to the same actor, from the same one, and no part of another trace. */
  takes(to: Address, from: Address | undefined, cause: Cause | undefined, length: number): boolean {
    const { home, kind, id } = this.to
    if (to.id !== id || to.home !== home || to.kind !== kind || from !== this.envelope.from) return false
    const traceparent = this.told[0]?.cause?.traceparent
    return cause?.traceparent === traceparent && this.#text.length + length < mostText
  }

  /** The id of the next message to join. */
  get nextId(): string {
    return idAt(this.envelope.id, this.told.length)
  }

  add(text: string, told: Told): void {
    this.#text = this.told.length === 0 ? text : `${this.#text},${text}`
    this.told.push(told)
  }

  /** As it goes over the wire: its one message, or all of them. */
  get text(): string {
    return this.told.length > 1 ? `[${this.#text}]` : this.#text
  }

  headers(): Headers {
    const count = this.told.length
    if (count === 1) return writeEnvelope(this.envelope)
    const [first] = this.told
    const cause = this.told.every((told) => told.cause === first?.cause)
      ? first?.cause?.id
      : this.told.map((told) => told.cause?.id ?? "").join(",")
    return { ...writeEnvelope({ ...this.envelope, cause }), [header.many]: String(count) }
  }
}

/** The envelopes of the `count` messages that came in a bundle under this one. */
export function* envelopesOf(envelope: Envelope, count: number): IterableIterator<Envelope> {
  const { id, cause } = envelope
  const causes = cause?.split(",") ?? []
  for (let i = 0; i < count; i++) {
    const own = causes.length === count ? causes[i] || undefined : cause
    yield { ...envelope, id: idAt(id, i), cause: own }
  }
}

const idAt = (first: string, place: number): string => (place === 0 ? first : `${first}.${place}`)
