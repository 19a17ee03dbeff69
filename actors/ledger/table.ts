/**
 * One kind of object by id, in insertion order, changed in place, with pages that a frozen view shares.
 *
 * A page is copied the first time it is written after a freeze, so taking a view costs one small array however
 * many objects there are, and a snapshot can be written while the table goes on.
 */
import { assert } from "#runtime/assert.ts"

const pageSize = 1024

interface Page<T> {
  items: Array<T | undefined>
  /** Written in place only while this equals the table's own epoch. */
  epoch: number
}

export class Table<T extends { readonly ID: string }> {
  readonly #where = new Map<string, number>()
  #pages: Array<Page<T>> = []
  #next = 0
  #epoch = 0

  get size(): number {
    return this.#where.size
  }

  get(id: string): T | undefined {
    const at = this.#where.get(id)
    return at === undefined ? undefined : this.#pages[Math.floor(at / pageSize)]?.items[at % pageSize]
  }

  /** Puts `object` in the place of the one with its id, or after all others. */
  put(object: T): void {
    let at = this.#where.get(object.ID)
    if (at === undefined) {
      at = this.#next++
      this.#where.set(object.ID, at)
    }
    this.#page(Math.floor(at / pageSize)).items[at % pageSize] = object
  }

  delete(id: string): void {
    const at = this.#where.get(id)
    if (at === undefined) return
    this.#where.delete(id)
    this.#page(Math.floor(at / pageSize)).items[at % pageSize] = undefined
    // Half of the places empty: closing the gaps now costs as much as the removals that made them.
    if (this.#next > 2 * pageSize && this.#where.size * 2 < this.#next) this.#closeGaps()
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

  #page(number: number): Page<T> {
    const page = this.#pages[number]
    if (page === undefined) {
      assert(number === this.#pages.length, "pages are added one after the other")
      const added: Page<T> = { items: [], epoch: this.#epoch }
      this.#pages.push(added)
      return added
    }
    if (page.epoch === this.#epoch) return page
    const copy: Page<T> = { items: page.items.slice(), epoch: this.#epoch }
    this.#pages[number] = copy
    return copy
  }

  #closeGaps(): void {
    const objects = [...this.values()]
    this.#pages = []
    this.#where.clear()
    this.#next = 0
    for (const object of objects) this.put(object)
  }
}
