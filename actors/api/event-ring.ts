/** The newest events, for whoever missed some: a fixed number of them, the oldest overwritten. */
import { type ClusterEvent, compareSequences, type Sequence } from "#actors/api/events.ts"

export type Caught =
  | { readonly _tag: "Events"; readonly events: ReadonlyArray<ClusterEvent>; readonly more: boolean }
  /** What came after the asked place is no longer all there. */
  | { readonly _tag: "Lost" }

export class EventRing {
  readonly #slots: Array<ClusterEvent> = []
  readonly #capacity: number
  /** Where the next event goes, which is where the oldest stands when the ring is full. */
  #next = 0
  #newest: Sequence
  /** The place right before the oldest event that is kept. */
  #before: Sequence

  /** `index`: the last entry that was applied before anything is added here. */
  constructor(capacity: number, index: number) {
    this.#capacity = capacity
    this.#newest = { index, position: 0, of: 0 }
    this.#before = this.#newest
  }

  /** Where the stream stands now. */
  get newest(): Sequence {
    return this.#newest
  }

  add(event: ClusterEvent): void {
    const evicted = this.#slots[this.#next]
    if (evicted !== undefined) this.#before = evicted.sequence
    this.#slots[this.#next] = event
    this.#next = (this.#next + 1) % this.#capacity
    this.#newest = event.sequence
  }

  /** At most `limit` events after a place, oldest first. */
  after(place: Sequence, limit: number): Caught {
    if (!this.#covers(place)) return { _tag: "Lost" }
    const count = this.#slots.length
    const at = (i: number): ClusterEvent => this.#slots[(this.#next + i) % count] as ClusterEvent
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareSequences(at(middle).sequence, place) <= 0) low = middle + 1
      else high = middle
    }
    const end = Math.min(count, low + limit)
    const events: Array<ClusterEvent> = []
    for (let i = low; i < end; i++) events.push(at(i))
    return { _tag: "Events", events, more: end < count }
  }

  /** Whether nothing between `place` and the oldest kept event is missing. */
  #covers(place: Sequence): boolean {
    const before = this.#before
    if (place.index !== before.index) return place.index > before.index
    // A ring begins after a whole entry; who saw that whole entry has missed nothing.
    return before.of === 0 ? place.position === place.of : place.position >= before.position
  }
}
