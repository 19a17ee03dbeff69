/**
 * Two connections at once, while a client moves from one server to another: what arrives on both is delivered once.
 *
 * The old connection delivers and is remembered; what comes over the new one is held back. Once the old one has ended,
 * what it did not bring is delivered in the order in which the new one brought it. So nothing is lost or brought
 * out of order as long as the overlap lasts longer than news of a subscription takes through the cluster; and nothing is
 * doubled, because what the new one brings late, over a slow route, is known by its id for a while.
 */
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import { partHeader } from "#runtime/chunks.ts"
import { header } from "#runtime/envelope.ts"
import type { Headers } from "#runtime/transport.ts"

/** More than this is not held back: the overlap ends early. */
const heldBytes = 64 * 1024 * 1024

export interface Arrival {
  /** The place of the subscription it came to. */
  readonly at: number
  readonly subject: string
  readonly reply: string | undefined
  readonly headers: Headers
  readonly body: Uint8Array
}

/** Our own messages have ids, and questions an inbox of their own: one that is asked again has the id of the first. */
function nameOf({ reply, headers }: Arrival): string | undefined {
  const id = headers[header.id]
  return id === undefined && reply === undefined ? undefined : `${id ?? ""} ${reply ?? ""}`
}

/** Anything else is told by what it says. */
function keyOf(arrival: Arrival): string {
  const { at, subject, headers, body } = arrival
  const name = nameOf(arrival) ?? `${body.length} ${crc32(Buffer.from(body)).toString(16)}`
  return `${at} ${subject} ${name} ${headers[partHeader] ?? ""}`
}

export class Overlap<Held extends Arrival = Arrival> {
  readonly #seen = new Map<string, number>()
  #held: Held[] = []
  #bytes = 0

  /** What the old connection brought, and delivered. */
  saw(arrival: Arrival): void {
    const key = keyOf(arrival)
    this.#seen.set(key, (this.#seen.get(key) ?? 0) + 1)
  }

  /** What the new one brought. False when too much is held back already. */
  hold(arrival: Held): boolean {
    this.#held.push(arrival)
    this.#bytes += arrival.body.length
    return this.#bytes < heldBytes
  }

  /** What only the new connection brought, in its order. */
  rest(): ReadonlyArray<Held> {
    const rest = this.#held.filter((arrival) => !this.#wasSeen(arrival))
    this.#held = []
    return rest
  }

  /**
   * Whether the new connection, after the overlap, brings what the old one brought during it. What has no name may just
   * say the same again.
   */
  isLate(arrival: Arrival): boolean {
    return nameOf(arrival) !== undefined && this.#wasSeen(arrival)
  }

  #wasSeen(arrival: Arrival): boolean {
    const key = keyOf(arrival)
    const times = this.#seen.get(key) ?? 0
    if (times > 0) this.#seen.set(key, times - 1)
    return times > 0
  }
}
