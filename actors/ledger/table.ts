/**
 * One kind of object by id, in insertion order, changed in place, with pages that any number of frozen views share.
 *
 * A page is copied the first time it is written after a freeze, so taking a view costs one small array however
 * many objects there are, and a snapshot can be written while the table goes on. Gaps close a few rows at each
 * removal, never all at once. What iterates over a table is done before the table is written again.
 */
import { HashSum, hashId, hashInto } from "#actors/ledger/hash.ts"
import { RowIndex } from "#actors/ledger/row-index.ts"
import { assert } from "#runtime/assert.ts"

const pageSize = 1024
/** Rows looked at per removal while gaps close: done before an eighth of the rows are removed meanwhile. */
const rowsPerStep = 8

interface Page<T> {
  readonly items: Array<T | undefined>
  /** Two words of hash for each item; a frozen view has no use for them, so copies share them. */
  readonly hashes: Int32Array
  /** Written in place only while this equals the table's own epoch. */
  readonly epoch: number
}

/** Gaps are closing: rows below `to` are full, those from `to` up to `from` are empty. */
interface Closing {
  to: number
  from: number
}

export class Table<T extends { readonly ID: string }> {
  #pages: Array<Page<T>> = []
  #next = 0
  #epoch = 0
  #closing: Closing | undefined
  readonly #index = new RowIndex<string>(hashId, (row, id) => this.#at(row)?.ID === id)
  /** The sum of the hashes of all objects. */
  readonly hash = new HashSum()
  readonly #one = { a: 0, b: 0 }

  get size(): number {
    return this.#index.size
  }

  /** Places taken, empty ones too. */
  get rows(): number {
    return this.#next
  }

  get(id: string): T | undefined {
    const row = this.#index.find(id)
    return row < 0 ? undefined : this.#at(row)
  }

  /** Puts `object` in the place of the one with its id, or after all others, and gives it back. */
  put(object: T): T {
    let row = this.#index.find(object.ID)
    if (row < 0) {
      row = this.#next++
      this.#index.add(object.ID, row)
    }
    this.#write(row, object)
    return object
  }

  delete(id: string): void {
    const row = this.#index.find(id)
    if (row < 0) return
    this.#index.delete(id, row)
    this.#write(row, undefined)
    this.#closeGaps()
  }

  *values(): IterableIterator<T> {
    for (const page of this.#pages) {
      for (const item of page.items) if (item !== undefined) yield item
    }
  }

  /** The objects as they are now, whatever is written afterwards. */
  freeze(): Iterable<T> {
    this.#epoch += 1
    const pages = this.#pages.slice()
    return {
      *[Symbol.iterator]() {
        for (const page of pages) {
          for (const item of page.items) if (item !== undefined) yield item
        }
      }
    }
  }

  #at(row: number): T | undefined {
    return this.#pages[Math.floor(row / pageSize)]?.items[row % pageSize]
  }

  #write(row: number, object: T | undefined): void {
    const { items, hashes } = this.#page(Math.floor(row / pageSize))
    const at = row % pageSize
    const one = this.#one
    if (items[at] !== undefined) {
      one.a = hashes[2 * at] as number
      one.b = hashes[2 * at + 1] as number
      this.hash.subtract(one)
    }
    items[at] = object
    if (object === undefined) return
    this.hash.add(hashInto(one, object))
    hashes[2 * at] = one.a
    hashes[2 * at + 1] = one.b
  }

  #page(number: number): Page<T> {
    const page = this.#pages[number]
    if (page === undefined) {
      assert(number === this.#pages.length, "pages are added one after the other")
      const added = { items: [], hashes: new Int32Array(2 * pageSize), epoch: this.#epoch }
      this.#pages.push(added)
      return added
    }
    if (page.epoch === this.#epoch) return page
    const copy = { items: page.items.slice(), hashes: page.hashes, epoch: this.#epoch }
    this.#pages[number] = copy
    return copy
  }

  /** Once half of the rows are empty, moves objects down, in order, a few at a time. */
  #closeGaps(): void {
    if (this.#closing === undefined) {
      if (this.#next <= 2 * pageSize || this.size * 2 >= this.#next) return
      this.#closing = { to: 0, from: 0 }
    }
    const closing = this.#closing
    for (let left = rowsPerStep; left > 0 && closing.from < this.#next; left--, closing.from++) {
      const object = this.#at(closing.from)
      if (object === undefined) continue
      if (closing.to !== closing.from) this.#move(object, closing.from, closing.to)
      closing.to++
    }
    if (closing.from < this.#next) return
    this.#next = closing.to
    this.#pages.length = Math.ceil(closing.to / pageSize)
    this.#closing = undefined
  }

  #move(object: T, from: number, to: number): void {
    this.#index.move(object.ID, from, to)
    const source = this.#page(Math.floor(from / pageSize))
    const target = this.#page(Math.floor(to / pageSize))
    const at = from % pageSize
    const into = to % pageSize
    target.items[into] = object
    target.hashes[2 * into] = source.hashes[2 * at] as number
    target.hashes[2 * into + 1] = source.hashes[2 * at + 1] as number
    source.items[at] = undefined
  }
}
