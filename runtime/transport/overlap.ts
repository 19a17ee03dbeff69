/**
 * Two connections at once, while a client moves from one server to another: what arrives on both is delivered once.
 *
 * The old connection delivers and is remembered; what comes over the new one is held back. Once the old one has ended,
 * what it did not bring is delivered in the order in which the new one brought it. So nothing is lost, doubled or
 * brought out of order as long as the overlap lasts longer than news of a subscription takes through the cluster.
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

/** Our own messages have ids, and questions an inbox of their own; anything else is told by what it says. */
function keyOf({ at, subject, reply, headers, body }: Arrival): string {
  const id = headers[header.id]
  const name = id ?? reply ?? `${body.length} ${crc32(Buffer.from(body)).toString(16)}`
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
    const rest = this.#held.filter((arrival) => {
      const key = keyOf(arrival)
      const times = this.#seen.get(key) ?? 0
      if (times > 0) this.#seen.set(key, times - 1)
      return times === 0
    })
    this.#held = []
    return rest
  }
}
