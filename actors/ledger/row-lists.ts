/**
 * Rows by a key, both of them integers: lists that are linked through arrays, 12 bytes a row, which the garbage
 * collector never looks into. Rows come in the order in which they got the key.
 *
 * While a list is gone through, only the row that was given last may change.
 */
import { Integers } from "#actors/ledger/integers.ts"

export const none = -1

/** Each row has at most one key. */
export class RowLists {
  // All of them hold what they say and one more, so that 0 is nothing.
  readonly #keys = new Integers()
  readonly #next = new Integers()
  readonly #previous = new Integers()
  readonly #first = new Integers()
  readonly #last = new Integers()

  keyOf(row: number): number {
    return this.#keys.get(row) - 1
  }

  /** Puts `row` at the end of the list of `key`, or in none; a row that has the key stays where it is. */
  set(row: number, key: number): void {
    const before = this.#keys.get(row) - 1
    if (before === key) return
    if (before !== none) this.#unlink(row, before)
    this.#keys.set(row, key + 1)
    if (key === none) return
    const last = this.#last.get(key)
    this.#previous.set(row, last)
    this.#next.set(row, 0)
    if (last === 0) this.#first.set(key, row + 1)
    else this.#next.set(last - 1, row + 1)
    this.#last.set(key, row + 1)
  }

  has(key: number): boolean {
    return this.#first.get(key) !== 0
  }

  *of(key: number): IterableIterator<number> {
    for (let at = key === none ? 0 : this.#first.get(key); at !== 0; ) {
      const row = at - 1
      at = this.#next.get(row)
      yield row
    }
  }

  /** What is in row `from` is in row `to` from now on, which was in no list. */
  move(from: number, to: number): void {
    const key = this.#keys.get(from) - 1
    if (key === none) return
    const next = this.#next.get(from)
    const previous = this.#previous.get(from)
    this.#keys.set(from, 0)
    this.#keys.set(to, key + 1)
    this.#next.set(to, next)
    this.#previous.set(to, previous)
    if (previous === 0) this.#first.set(key, to + 1)
    else this.#next.set(previous - 1, to + 1)
    if (next === 0) this.#last.set(key, to + 1)
    else this.#previous.set(next - 1, to + 1)
  }

  #unlink(row: number, key: number): void {
    const next = this.#next.get(row)
    const previous = this.#previous.get(row)
    if (previous === 0) this.#first.set(key, next)
    else this.#next.set(previous - 1, next)
    if (next === 0) this.#last.set(key, previous)
    else this.#previous.set(next - 1, previous)
  }
}

/** Each row has any number of keys: a link for each, which takes a row's place in lists as above. */
export class RowSets {
  readonly #links = new RowLists()
  /** By link: its row, and the next link of the same row, or the next that is free. */
  readonly #rows = new Integers()
  readonly #following = new Integers()
  /** By row: its first link. */
  readonly #first = new Integers()
  #free = 0
  #made = 0

  set(row: number, keys: ReadonlyArray<number>): void {
    for (let at = this.#first.get(row); at !== 0; ) {
      const next = this.#following.get(at - 1)
      this.#links.set(at - 1, none)
      this.#following.set(at - 1, this.#free)
      this.#free = at
      at = next
    }
    let first = 0
    for (let i = keys.length - 1; i >= 0; i--) {
      const link = this.#take()
      this.#rows.set(link, row + 1)
      this.#following.set(link, first)
      this.#links.set(link, keys[i] as number)
      first = link + 1
    }
    this.#first.set(row, first)
  }

  /** The keys of `row`, in the order in which they were set. */
  keysOf(row: number): ReadonlyArray<number> {
    const keys: Array<number> = []
    for (let at = this.#first.get(row); at !== 0; at = this.#following.get(at - 1)) {
      keys.push(this.#links.keyOf(at - 1))
    }
    return keys
  }

  *of(key: number): IterableIterator<number> {
    for (const link of this.#links.of(key)) yield this.#rows.get(link) - 1
  }

  /** What is in row `from` is in row `to` from now on, which had no keys. */
  move(from: number, to: number): void {
    const first = this.#first.get(from)
    this.#first.set(from, 0)
    this.#first.set(to, first)
    for (let at = first; at !== 0; at = this.#following.get(at - 1)) this.#rows.set(at - 1, to + 1)
  }

  #take(): number {
    if (this.#free === 0) return this.#made++
    const link = this.#free - 1
    this.#free = this.#following.get(link)
    return link
  }
}
