/**
 * Records by row, in pages of bytes that frozen views share: a page is copied the first time it is written after a freeze.
 *
 * To the garbage collector a page is a handful of things, however many records are in it. What is written goes to the
 * page's end; a page without room is written anew without what was overwritten.
 */
import { Buffer } from "node:buffer"
import type { Hash } from "#actors/ledger/hash.ts"
import { assert } from "#runtime/assert.ts"

/** Some 50 KiB of tasks: what the first write after a freeze copies, and how finely a snapshot can be cut. */
export const rowsPerPage = 256
/** Room for an eighth more on average; with less than half of that it grows rather than be written anew at once. */
const growth = 1.25
const leastGrowth = 1.125
const leastBytes = 1024

interface Page {
  readonly bytes: Buffer
  /** Where each record begins, plus one; 0 for none. */
  readonly starts: Int32Array
  /** Two words of hash for each; a frozen view has no use for them, so copies share them. */
  readonly hashes: Int32Array
  used: number
  wasted: number
  /** Written in place only while this equals the pages' own epoch. */
  readonly epoch: number
}

/** `lengthOf` says how long the record is that begins somewhere. */
export type LengthOf = (bytes: Buffer, start: number) => number

/** The records of a page, whatever is written afterwards. */
export class FrozenPage {
  readonly #page: Page
  readonly #lengthOf: LengthOf

  constructor(page: Page, lengthOf: LengthOf) {
    this.#page = page
    this.#lengthOf = lengthOf
  }

  get length(): number {
    return this.#page.used - this.#page.wasted
  }

  /** Writes them, one after the other, to `bytes` from `at` on, which has room. */
  copyTo(bytes: Buffer, at: number): void {
    gatherInto(bytes, at, this.#page, this.#lengthOf)
  }
}

export class TaskPages {
  readonly #lengthOf: LengthOf
  readonly #pages: Array<Page> = []
  #scratch = Buffer.alloc(0)
  #epoch = 0

  constructor(lengthOf: LengthOf) {
    this.#lengthOf = lengthOf
  }

  get count(): number {
    return this.#pages.length
  }

  /** Where the record of `row` begins in `bytesOf(row)`, or -1. */
  startOf(row: number): number {
    const page = this.#pages[Math.floor(row / rowsPerPage)]
    return page === undefined ? -1 : (page.starts[row % rowsPerPage] as number) - 1
  }

  bytesOf(row: number): Buffer {
    const page = this.#pages[Math.floor(row / rowsPerPage)]
    assert(page !== undefined, "a row with a record is in a page")
    return page.bytes
  }

  /** Writes the hash of `row` into `into`, and returns that. */
  hashOf(row: number, into: Hash): Hash {
    const hashes = this.#pages[Math.floor(row / rowsPerPage)]?.hashes
    const at = 2 * (row % rowsPerPage)
    into.a = hashes?.[at] ?? 0
    into.b = hashes?.[at + 1] ?? 0
    return into
  }

  /** Puts a record, `length` bytes of `source`, into `row`, which is there or the next one. */
  write(row: number, source: Buffer, start: number, length: number, hash: Hash): void {
    const page = this.#pageFor(row, length)
    const at = row % rowsPerPage
    this.#waste(page, at)
    source.copy(page.bytes, page.used, start, start + length)
    page.starts[at] = page.used + 1
    page.used += length
    page.hashes[2 * at] = hash.a
    page.hashes[2 * at + 1] = hash.b
  }

  erase(row: number): void {
    const page = this.#pageFor(row, 0)
    this.#waste(page, row % rowsPerPage)
    page.starts[row % rowsPerPage] = 0
  }

  /**
   * Adds a page of the records that `bytes` is full of, which it keeps and never writes to; they begin at `starts`, and rows
   * that have none stay empty.
   */
  adopt(bytes: Buffer, starts: Int32Array, hashes: Int32Array): void {
    this.#pages.push({ bytes, starts, hashes, used: bytes.length, wasted: 0, epoch: -1 })
  }

  /** Lets go of the pages from `rows` on. */
  truncate(rows: number): void {
    this.#pages.length = Math.ceil(rows / rowsPerPage)
  }

  freeze(): Iterable<FrozenPage> {
    this.#epoch += 1
    const pages = this.#pages.slice()
    const lengthOf = this.#lengthOf
    return {
      *[Symbol.iterator]() {
        for (const page of pages) yield new FrozenPage(page, lengthOf)
      }
    }
  }

  #waste(page: Page, at: number): void {
    const start = (page.starts[at] as number) - 1
    if (start >= 0) page.wasted += this.#lengthOf(page.bytes, start)
  }

  /** The page of `row`, which may be written, with room for so many bytes more. */
  #pageFor(row: number, bytes: number): Page {
    const number = Math.floor(row / rowsPerPage)
    const page = this.#pages[number]
    if (page === undefined) {
      assert(number === this.#pages.length, "pages are added one after the other")
      const added: Page = {
        bytes: Buffer.allocUnsafeSlow(Math.max(leastBytes, bytes)),
        starts: new Int32Array(rowsPerPage),
        hashes: new Int32Array(2 * rowsPerPage),
        used: 0,
        wasted: 0,
        epoch: this.#epoch
      }
      this.#pages.push(added)
      return added
    }
    if (page.epoch === this.#epoch && page.used + bytes <= page.bytes.length) return page
    const renewed = this.#renewed(page, bytes)
    this.#pages[number] = renewed
    return renewed
  }

  /** The same records without gaps: in the same memory if that is roomy enough, and no frozen view has it. */
  #renewed(page: Page, more: number): Page {
    const needed = page.used - page.wasted + more
    if (page.epoch === this.#epoch && needed * leastGrowth <= page.bytes.length) {
      if (this.#scratch.length < page.bytes.length)
        this.#scratch = Buffer.allocUnsafeSlow(2 * page.bytes.length)
      page.used = gatherInto(this.#scratch, 0, page, this.#lengthOf, page.starts)
      page.wasted = 0
      this.#scratch.copy(page.bytes, 0, 0, page.used)
      return page
    }
    const bytes = Buffer.allocUnsafeSlow(Math.max(leastBytes, Math.ceil(needed * growth)))
    const starts = new Int32Array(rowsPerPage)
    const used = gatherInto(bytes, 0, page, this.#lengthOf, starts)
    return { bytes, starts, hashes: page.hashes, used, wasted: 0, epoch: this.#epoch }
  }
}

/** Copies the records of `page` to `bytes` from `start` on, in the order of rows; how far they reach. */
function gatherInto(
  bytes: Buffer,
  start: number,
  page: Page,
  lengthOf: LengthOf,
  starts?: Int32Array
): number {
  let used = start
  // Records that lie one after the other are copied at once: in a page that came from a snapshot, all of them.
  let from = 0
  let end = 0
  for (let at = 0; at < rowsPerPage; at++) {
    const record = (page.starts[at] as number) - 1
    if (record < 0) continue
    if (record !== end) {
      used += page.bytes.copy(bytes, used, from, end)
      from = record
    }
    end = record + lengthOf(page.bytes, record)
    if (starts !== undefined) starts[at] = used + record - from + 1
  }
  return used + page.bytes.copy(bytes, used, from, end)
}
