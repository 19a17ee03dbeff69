/** The log in memory: everything after `base`, the last entry that a snapshot made needless here. */
import type { Entry } from "#actors/raft/entry.ts"
import { assert } from "#runtime/assert.ts"

// An entry's own fields, in memory and on the wire.
const overheadBytes = 32

/** What an entry counts for against the caps on bytes. */
export const bytesOf = (entry: Entry): number => entry.data.length + overheadBytes

export class Log {
  #base: number
  #baseTerm: number
  #entries: Array<Entry>

  constructor(base: number, baseTerm: number, entries: ReadonlyArray<Entry>) {
    this.#base = base
    this.#baseTerm = baseTerm
    this.#entries = []
    this.append(entries)
  }

  get firstIndex(): number {
    return this.#base + 1
  }
  get lastIndex(): number {
    return this.#base + this.#entries.length
  }
  get lastTerm(): number {
    return this.#entries.length === 0
      ? this.#baseTerm
      : (this.#entries[this.#entries.length - 1] as Entry).term
  }

  /** Undefined for what is not here (any more, or yet). The term of entry 0 is 0. */
  termAt(index: number): number | undefined {
    if (index === this.#base) return this.#baseTerm
    return this.#entries[index - this.#base - 1]?.term
  }

  at(index: number): Entry {
    const entry = this.#entries[index - this.#base - 1]
    assert(entry !== undefined, "the log has the entry that is asked for")
    return entry
  }

  /** Entries from `from` to `to`: at least one, then as long as they fit. */
  slice(
    from: number,
    to: number,
    maxBytes: number,
    maxEntries = Number.POSITIVE_INFINITY
  ): ReadonlyArray<Entry> {
    const first = from - this.#base - 1
    const end = Math.min(to - this.#base, first + maxEntries)
    assert(first >= 0 && end <= this.#entries.length, "the log has the entries that are asked for")
    let bytes = 0
    let i = first
    for (; i < end; i++) {
      bytes += bytesOf(this.#entries[i] as Entry)
      if (bytes > maxBytes && i > first) break
    }
    return this.#entries.slice(first, i)
  }

  /** The last index up to `index` whose term is not above `term`; terms never fall along a log. */
  lastUpToTerm(index: number, term: number): number {
    let low = this.#base
    let high = Math.min(index, this.lastIndex)
    if (high <= low) return Math.min(index, low)
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.termAt(middle) as number) <= term) low = middle
      else high = middle - 1
    }
    return low
  }

  append(entries: ReadonlyArray<Entry>): void {
    let { lastIndex, lastTerm } = this
    for (const entry of entries) {
      assert(entry.index === lastIndex + 1, "entries arrive without gaps")
      assert(entry.term >= lastTerm, "terms never fall along a log")
      assert(Number.isSafeInteger(entry.index) && Number.isSafeInteger(entry.term), "numbers are exact")
      this.#entries.push(entry)
      lastIndex = entry.index
      lastTerm = entry.term
    }
  }

  /** Forgets entries from `from` on. */
  truncate(from: number): void {
    assert(from > this.#base, "what a snapshot covers is never truncated")
    this.#entries.length = Math.min(this.#entries.length, from - this.#base - 1)
  }

  /** Forgets entries up to `index`. */
  compact(index: number): void {
    if (index <= this.#base) return
    const term = this.termAt(index)
    assert(term !== undefined, "only what is in the log is compacted")
    this.#entries = this.#entries.slice(index - this.#base)
    this.#base = index
    this.#baseTerm = term
  }

  /** How far `compact` may go up to `index` and still leave so much before it. */
  leaving(index: number, bytes: number, entries: number): number {
    const lowest = Math.max(this.#base, index - entries)
    let left = bytes
    let at = index
    while (at > lowest) {
      left -= bytesOf(this.at(at))
      if (left < 0) break
      at--
    }
    return at
  }

  /** The log ends at a snapshot of (`index`, `term`). */
  reset(index: number, term: number): void {
    this.#entries = []
    this.#base = index
    this.#baseTerm = term
  }
}
