/**
 * Which rows something is in: hash tables of integers, 16 bytes a row or so, which the garbage collector never looks into.
 *
 * One `Map` of a million ids is scanned whole whenever it was written, and its growth stops everything for a tenth of
 * a second. Here each of 256 small tables grows by itself.
 */

const shards = 256
const smallest = 8

/** Pairs of hash and row + 1; 0 is empty. Open addressing, linear probing. */
type Slots = Int32Array
const none: Slots = new Int32Array(0)

export class RowIndex<Key> {
  readonly #hashOf: (key: Key) => number
  readonly #holds: (row: number, key: Key) => boolean
  readonly #shards: Array<Slots> = new Array(shards).fill(none)
  readonly #sizes = new Int32Array(shards)
  #size = 0

  /** `hashOf` gives 32 bits, all of them good; `holds` says whether a row has a key. */
  constructor(hashOf: (key: Key) => number, holds: (row: number, key: Key) => boolean) {
    this.#hashOf = hashOf
    this.#holds = holds
  }

  get size(): number {
    return this.#size
  }

  /** A row of `key`, or -1. */
  find(key: Key): number {
    const hash = this.#hashOf(key)
    const slots = this.#shards[hash >>> 24] as Slots
    if (slots.length === 0) return -1
    const mask = slots.length - 1
    for (let at = home(hash, mask); ; at = (at + 2) & mask) {
      const row = (slots[at + 1] as number) - 1
      if (row < 0) return -1
      if (slots[at] === hash && this.#holds(row, key)) return row
    }
  }

  /** Every row of `key`. */
  all(key: Key): ReadonlyArray<number> {
    const rows: Array<number> = []
    const hash = this.#hashOf(key)
    const slots = this.#shards[hash >>> 24] as Slots
    const mask = slots.length - 1
    for (let at = home(hash, mask); slots.length > 0; at = (at + 2) & mask) {
      const row = (slots[at + 1] as number) - 1
      if (row < 0) break
      if (slots[at] === hash && this.#holds(row, key)) rows.push(row)
    }
    return rows
  }

  /** Notes that `row`, which is not in here, has `key`. */
  add(key: Key, row: number): void {
    this.addHashed(this.#hashOf(key), row)
  }

  /** The same where the hash of the key is at hand. */
  addHashed(hash: number, row: number): void {
    const shard = hash >>> 24
    let slots = this.#shards[shard] as Slots
    const size = (this.#sizes[shard] as number) + 1
    if (size * 8 > slots.length * 3) {
      slots = grown(slots)
      this.#shards[shard] = slots
    }
    place(slots, hash, row + 1)
    this.#sizes[shard] = size
    this.#size++
  }

  /** Notes that what is in row `from` is in row `to` from now on. */
  move(key: Key, from: number, to: number): void {
    const hash = this.#hashOf(key)
    const slots = this.#shards[hash >>> 24] as Slots
    const at = seek(slots, hash, from)
    if (at >= 0) slots[at + 1] = to + 1
  }

  /** Forgets `row`, which has `key`. */
  delete(key: Key, row: number): void {
    const hash = this.#hashOf(key)
    const shard = hash >>> 24
    const slots = this.#shards[shard] as Slots
    const at = seek(slots, hash, row)
    if (at < 0) return
    this.#sizes[shard] = (this.#sizes[shard] as number) - 1
    this.#size--
    closeHole(slots, at)
  }
}

// The slot comes from the low bits, the shard from the high ones.
const home = (hash: number, mask: number): number => (hash << 1) & mask

function seek(slots: Slots, hash: number, row: number): number {
  if (slots.length === 0) return -1
  const mask = slots.length - 1
  for (let at = home(hash, mask); slots[at + 1] !== 0; at = (at + 2) & mask) {
    if (slots[at + 1] === row + 1) return at
  }
  return -1
}

function place(slots: Slots, hash: number, entry: number): void {
  const mask = slots.length - 1
  let at = home(hash, mask)
  while (slots[at + 1] !== 0) at = (at + 2) & mask
  slots[at] = hash
  slots[at + 1] = entry
}

function grown(before: Slots): Slots {
  const slots = new Int32Array(Math.max(smallest * 2, before.length * 2))
  for (let at = 0; at < before.length; at += 2) {
    const entry = before[at + 1] as number
    if (entry !== 0) place(slots, before[at] as number, entry)
  }
  return slots
}

/** Moves up what was displaced past the hole at `at`, so that searches need no tombstones (Knuth 6.4, algorithm R). */
function closeHole(slots: Slots, at: number): void {
  const mask = slots.length - 1
  let hole = at
  for (let next = (hole + 2) & mask; slots[next + 1] !== 0; next = (next + 2) & mask) {
    const start = home(slots[next] as number, mask)
    // It may move only where a search from its home still passes.
    if (((next - start) & mask) < ((next - hole) & mask)) continue
    slots[hole] = slots[next] as number
    slots[hole + 1] = slots[next + 1] as number
    hole = next
  }
  slots[hole] = 0
  slots[hole + 1] = 0
}
