/**
 * Which messages of each other process have come already, so that none is handled twice.
 *
 * One publish can come twice where nats-servers freeze and clients move: a server that was stopped holds what its routes
 * brought, and hands it on when it wakes, to a client that has had it over another server and has come back since. A
 * process numbers what it sends, so what comes is nearly always the newest of its sender; only what is not is looked
 * up among the last ones.
 */

/** So far back a number is told from one that never came; at 1,000 messages a second from one process, 16 s, in 128 KiB. */
const remembered = 16 * 1024
const first = 64
const mostNodes = 1_024

/** `<node>-<boot>-<number in base 36>`, as `post.ts` names what it sends. */
const ours = /^(.+)-([0-9a-z]+)-([0-9a-z]{1,10})$/

export type Sighting = "new" | "again" | "too late to tell"

/** The numbers of one process, ascending, in a ring that grows to `remembered`. */
class Sender {
  #highest = -1
  #ring = new Float64Array(first)
  #count = 0
  /** What came after a higher one. */
  readonly #late = new Set<number>()

  see(number: number): Sighting {
    if (number > this.#highest) {
      this.#add(number)
      return "new"
    }
    if (this.#count > this.#ring.length && number < this.#at(this.#count - this.#ring.length))
      return "too late to tell"
    if (this.#late.has(number) || this.#holds(number)) return "again"
    if (this.#late.size >= remembered) this.#late.clear()
    this.#late.add(number)
    return "new"
  }

  #add(number: number): void {
    const { length } = this.#ring
    if (this.#count === length && length < remembered) {
      const larger = new Float64Array(length * 4)
      larger.set(this.#ring)
      this.#ring = larger
    }
    this.#ring[this.#count++ & (this.#ring.length - 1)] = number
    this.#highest = number
  }

  #holds(number: number): boolean {
    let low = Math.max(0, this.#count - this.#ring.length)
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#at(middle) < number) low = middle + 1
      else high = middle
    }
    return low < this.#count && this.#at(low) === number
  }

  #at(place: number): number {
    return this.#ring[place & (this.#ring.length - 1)] as number
  }
}

/** What came of a node's present process, and of the one before it, whose last words may still be under way. */
interface Known {
  readonly boot: string
  readonly sender: Sender
  readonly before: Known | undefined
}

export class Sightings {
  readonly #nodes = new Map<string, Known>()

  /**
   * Takes note of a message's id. One that no process of ours gave is always new. `by` keeps apart what came where only one
   * may speak, so that nobody makes the names of another's messages known.
   */
  see(id: string | undefined, by = ""): Sighting {
    const [, node, boot, number] = ours.exec(id ?? "") ?? []
    if (node === undefined || boot === undefined || number === undefined) return "new"
    return this.#senderOf(by === "" ? node : `${by} ${node}`, boot).see(Number.parseInt(number, 36))
  }

  #senderOf(node: string, boot: string): Sender {
    const known = this.#nodes.get(node)
    if (known?.boot === boot) return known.sender
    if (known?.before?.boot === boot) return known.before.sender
    if (!known && this.#nodes.size >= mostNodes) {
      const [oldest = ""] = this.#nodes.keys()
      this.#nodes.delete(oldest)
    }
    const sender = new Sender()
    this.#nodes.set(node, { boot, sender, before: known && { ...known, before: undefined } })
    return sender
  }
}
