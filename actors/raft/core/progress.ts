/** What a leader knows of one other member, and what is on its way to it. */

/**
 * `probe`: one append, then silence until it is answered or a heartbeat is. `replicate`: appends go out ahead of
 * their answers. `snapshot`: the log no longer reaches back to what it needs.
 */
export type ProgressState = "probe" | "replicate" | "snapshot"

export class Progress {
  match = 0
  next: number
  state: ProgressState = "probe"
  /** A probe is on its way. */
  probing = false
  /** Something should be sent although there may be nothing new. */
  poke = false
  /** The highest commit index that was sent. */
  commitSent = 0
  /** The tick at which it was last heard. */
  heardAt: number
  /** The newest round of reads that it confirmed. */
  readAcked = 0
  /** It lost what it had acknowledged, and counts for nothing any more. */
  quarantined = false
  /** In `snapshot`: what was offered. */
  offered = 0
  readonly #capacity: number
  readonly #lasts: Array<number>
  readonly #sizes: Array<number>
  #start = 0
  #count = 0
  #bytes = 0

  constructor(next: number, now: number, capacity: number) {
    this.next = next
    this.heardAt = now
    this.#capacity = capacity
    this.#lasts = new Array(capacity).fill(0)
    this.#sizes = new Array(capacity).fill(0)
  }

  get inFlight(): number {
    return this.#count
  }
  get inFlightBytes(): number {
    return this.#bytes
  }

  /** An append that ends with `last` was sent. */
  sent(last: number, bytes: number): void {
    const at = (this.#start + this.#count) % this.#capacity
    this.#lasts[at] = last
    this.#sizes[at] = bytes
    this.#count++
    this.#bytes += bytes
  }

  /** Appends up to `index` arrived. */
  freeTo(index: number): void {
    while (this.#count > 0 && (this.#lasts[this.#start] as number) <= index) {
      this.#bytes -= this.#sizes[this.#start] as number
      this.#start = (this.#start + 1) % this.#capacity
      this.#count--
    }
  }

  become(state: ProgressState, next: number): void {
    this.state = state
    this.next = next
    this.probing = false
    this.#start = 0
    this.#count = 0
    this.#bytes = 0
  }
}
