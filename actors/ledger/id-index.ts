/**
 * Which row an id is in: hash tables of integers, 16 bytes an id or so, which the garbage collector never looks into.
 *
 * One `Map` of a million ids is scanned whole whenever it was written, and its growth stops everything for a tenth of
 * a second. Here each of 256 small tables grows by itself.
 */
import { hashId } from "#actors/ledger/hash.ts"

const shards = 256
const smallest = 8

/** Pairs of hash and row + 1; 0 is empty. Open addressing, linear probing. */
type Slots = Int32Array
const none: Slots = new Int32Array(0)

export class IdIndex {
  readonly #idOf: (row: number) => string | undefined
  readonly #shards: Array<Slots> = new Array(shards).fill(none)
  readonly #sizes = new Int32Array(shards)
  #size = 0

  /** `idOf` says which id is in a row. */
  constructor(idOf: (row: number) => string | undefined) {
    this.#idOf = idOf
  }

  get size(): number {
    return this.#size
  }

  /** The row of `id`, or -1. */
  find(id: string): number {
    const hash = hashId(id)
    const slots = this.#shards[hash >>> 24] as Slots
    const at = this.#seek(slots, hash, id)
    return at < 0 ? -1 : (slots[at + 1] ?? 0) - 1
  }

  /** Notes the row of an id that has none. */
  add(id: string, row: number): void {
    const hash = hashId(id)
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

  /** Notes that `id`, still found in its old row, moves to `row`. */
  move(id: string, row: number): void {
    const hash = hashId(id)
    const slots = this.#shards[hash >>> 24] as Slots
    const at = this.#seek(slots, hash, id)
    if (at >= 0) slots[at + 1] = row + 1
  }

  /** Forgets `id`, which is still found in its row. */
  delete(id: string): void {
    const hash = hashId(id)
    const shard = hash >>> 24
    const slots = this.#shards[shard] as Slots
    const at = this.#seek(slots, hash, id)
    if (at < 0) return
    this.#sizes[shard] = (this.#sizes[shard] as number) - 1
    this.#size--
    closeHole(slots, at)
  }

  // The slot comes from the low bits, the shard from the high ones.
  #seek(slots: Slots, hash: number, id: string): number {
    if (slots.length === 0) return -1
    const mask = slots.length - 1
    for (let at = (hash << 1) & mask; ; at = (at + 2) & mask) {
      const row = slots[at + 1] as number
      if (row === 0) return -1
      if (slots[at] === hash && this.#idOf(row - 1) === id) return at
    }
  }
}

function place(slots: Slots, hash: number, entry: number): void {
  const mask = slots.length - 1
  let at = (hash << 1) & mask
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
    const home = ((slots[next] as number) << 1) & mask
    // It may move only where a search from its home still passes.
    if (((next - home) & mask) < ((next - hole) & mask)) continue
    slots[hole] = slots[next] as number
    slots[hole + 1] = slots[next + 1] as number
    hole = next
  }
  slots[hole] = 0
  slots[hole + 1] = 0
}
