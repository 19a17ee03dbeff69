/**
 * Tasks, in insertion order, as bytes in pages (`task-pages.ts`), and where to find them: by id, service, node, slot, state
 * and network. A task is made from its bytes when it is asked for; those written lately or asked for twice are kept as they are.
 *
 * A million tasks as objects are fourteen million things for the garbage collector to walk over, which it does for tens of
 * milliseconds at a time. Here they are some ten thousand, and so are the indexes: rows in arrays of integers.
 */
import { Buffer } from "node:buffer"
import { HashSum, hashId, hashInto, hashPair } from "#actors/ledger/hash.ts"
import { Integers } from "#actors/ledger/integers.ts"
import { RowIndex } from "#actors/ledger/row-index.ts"
import { none, RowLists, RowSets } from "#actors/ledger/row-lists.ts"
import { numberOfState, recordLength, TaskBytes } from "#actors/ledger/task-bytes.ts"
import { rowsPerPage, TaskPages } from "#actors/ledger/task-pages.ts"
import { Texts, Words } from "#actors/ledger/texts.ts"
import type { Task, TaskState } from "#actors/model/objects.ts"
import { assert } from "#runtime/assert.ts"

/** Tasks kept as objects: a few batches of the scheduler, or the tasks of a hundred services. A power of two. */
const keptTasks = 8192
/** Rows looked at per removal while gaps close: done before an eighth of the rows are removed meanwhile. */
const rowsPerStep = 8

interface Slot {
  service: number
  slot: number
}

/** Gaps are closing: rows below `to` are full, those from `to` up to `from` are empty. */
interface Closing {
  to: number
  from: number
}

/** All tasks as they were: what their bytes refer to by number, and their bytes. */
export interface FrozenTasks {
  readonly texts: ReadonlyArray<string | undefined>
  readonly words: ReadonlyArray<string>
  readonly count: number
  /** Records one after the other, some 50 KiB at a time, made as they are taken. */
  readonly pages: Iterable<Uint8Array>
}

export class TaskTable {
  readonly #texts = new Texts()
  readonly #words = new Words()
  readonly #codec = new TaskBytes(this.#texts, this.#words)
  readonly #pages = new TaskPages(recordLength)
  #next = 0
  #closing: Closing | undefined

  readonly #byId = new RowIndex<string>(hashId, (row, id) => {
    const start = this.#pages.startOf(row)
    return start >= 0 && this.#codec.isOf(this.#pages.bytesOf(row), start, id)
  })
  readonly #byService = new RowLists()
  readonly #byNode = new RowLists()
  readonly #byState = new RowLists()
  readonly #byNetwork = new RowSets()
  /** By row: its slot, and one more; 0 for none. */
  readonly #slots = new Integers()
  readonly #bySlot = new RowIndex<Slot>(
    ({ service, slot }) => hashPair(service, slot),
    (row, { service, slot }) => this.#byService.keyOf(row) === service && this.#slots.get(row) === slot + 1
  )

  readonly #kept: Array<Task | undefined> = new Array(keptTasks).fill(undefined)
  readonly #keptRows = new Int32Array(keptTasks).fill(none)
  /** The sum of the hashes of all tasks. */
  readonly hash = new HashSum()
  readonly #one = { a: 0, b: 0 }

  get size(): number {
    return this.#byId.size
  }

  /** Places taken, empty ones too. */
  get rows(): number {
    return this.#next
  }

  get(id: string): Task | undefined {
    const row = this.#byId.find(id)
    return row < 0 ? undefined : this.#at(row)
  }

  /**
   * Puts `task` in the place of the one with its id, or after all others, and gives it back as its bytes say it: what
   * is read now is then what is read when it was forgotten meanwhile, or came out of a snapshot.
   */
  put(task: Task): Task {
    const found = this.#byId.find(task.ID)
    const row = found < 0 ? this.#next : found
    this.#index(row, task)
    const length = this.#codec.encode(task)
    const kept = this.#codec.decode(this.#codec.encoded, 0)
    this.#store(row, kept, this.#codec.encoded, 0, length)
    if (found < 0) {
      this.#next++
      this.#byId.add(task.ID, row)
    }
    this.#keep(row, kept)
    return kept
  }

  delete(id: string): void {
    const row = this.#byId.find(id)
    if (row < 0) return
    this.#byId.delete(id, row)
    this.#unindex(row)
    this.hash.subtract(this.#pages.hashOf(row, this.#one))
    this.#pages.erase(row)
    this.#forget(row)
    this.#closeGaps()
  }

  *values(): IterableIterator<Task> {
    for (let row = 0; row < this.#next; row++) {
      const start = this.#pages.startOf(row)
      // Not kept: whoever looks at all of them looks once.
      if (start >= 0) yield this.#keptAt(row) ?? this.#codec.decode(this.#pages.bytesOf(row), start)
    }
  }

  ofService(serviceId: string): IterableIterator<Task> {
    return this.#tasks(this.#byService.of(this.#keyOf(serviceId)))
  }

  ofNode(nodeId: string): IterableIterator<Task> {
    return this.#tasks(this.#byNode.of(this.#keyOf(nodeId)))
  }

  onNetwork(networkId: string): IterableIterator<Task> {
    return this.#tasks(this.#byNetwork.of(this.#keyOf(networkId)))
  }

  inState(state: TaskState): IterableIterator<Task> {
    return this.#tasks(this.#byState.of(numberOfState.get(state) ?? none))
  }

  inSlot(serviceId: string, slot: number): IterableIterator<Task> {
    const service = this.#texts.find(serviceId)
    return this.#tasks(service === 0 ? [] : this.#bySlot.all({ service, slot }))
  }

  *services(): IterableIterator<string> {
    for (const [number, text] of this.#texts.freeze().entries()) {
      if (text !== undefined && this.#byService.has(number)) yield text
    }
  }

  freeze(): FrozenTasks {
    return {
      texts: this.#texts.freeze(),
      words: this.#words.freeze(),
      count: this.size,
      pages: this.#pages.freeze()
    }
  }

  // ── from a snapshot: texts, words, then records, into a table that is empty

  restoreText(number: number, text: string): void {
    this.#texts.restore(number, text)
  }

  restoreWord(word: string): void {
    this.#words.number(word)
  }

  /** Takes the records in `bytes` from `start` on; each is given to `restored`. */
  restoreRecords(bytes: Buffer, start: number, restored: (task: Task) => void): void {
    for (let at = start; at < bytes.length; ) {
      const length = recordLength(bytes, at)
      const task = this.#codec.decode(bytes, at)
      const row = this.#next++
      this.#index(row, task)
      this.#store(row, task, bytes, at, length)
      this.#byId.add(task.ID, row)
      restored(task)
      at += length
    }
  }

  /** The key of an id in lists; `none` where nothing has it. */
  #keyOf(id: string): number {
    const number = this.#texts.find(id)
    return number === 0 ? none : number
  }

  *#tasks(rows: Iterable<number>): IterableIterator<Task> {
    for (const row of rows) yield this.#at(row)
  }

  #at(row: number): Task {
    const kept = this.#keptAt(row)
    if (kept !== undefined) return kept
    const start = this.#pages.startOf(row)
    assert(start >= 0, "an index names only rows that are full")
    const task = this.#codec.decode(this.#pages.bytesOf(row), start)
    // Not before it is read twice: what is read once would only be in the way of the garbage collector.
    const place = row & (keptTasks - 1)
    if (this.#keptRows[place] === row) this.#kept[place] = task
    else {
      this.#keptRows[place] = row
      this.#kept[place] = undefined
    }
    return task
  }

  #store(row: number, task: Task, bytes: Buffer, start: number, length: number): void {
    if (this.#pages.startOf(row) >= 0) this.hash.subtract(this.#pages.hashOf(row, this.#one))
    hashInto(this.#one, task)
    this.hash.add(this.#one)
    this.#pages.write(row, bytes, start, length, this.#one)
  }

  // ── indexes

  /** Makes every index say of `row` what `task` says, and gives the ids in it their numbers. */
  #index(row: number, task: Task): void {
    const serviceBefore = this.#byService.keyOf(row)
    const slotBefore = this.#slots.get(row)
    const slot = task.Slot === undefined ? 0 : task.Slot + 1
    const isMoved = slot !== slotBefore || !this.#isNumberOf(serviceBefore, task.ServiceID)
    if (isMoved && slotBefore > 0) this.#bySlot.delete({ service: serviceBefore, slot: slotBefore - 1 }, row)
    this.#set(this.#byService, row, task.ServiceID)
    if (isMoved) {
      this.#slots.set(row, slot)
      if (slot > 0) this.#bySlot.add({ service: this.#byService.keyOf(row), slot: slot - 1 }, row)
    }
    this.#set(this.#byNode, row, task.NodeID)
    this.#byState.set(row, numberOfState.get(task.Status.State) ?? none)
    this.#setNetworks(row, task.Attachments ?? [])
  }

  #isNumberOf(number: number, text: string | undefined): boolean {
    return number === none ? text === undefined : this.#texts.at(number) === text
  }

  /** Puts `row` under an id, which is counted on as long as it is there. */
  #set(lists: RowLists, row: number, id: string | undefined): void {
    const before = lists.keyOf(row)
    if (this.#isNumberOf(before, id)) return
    lists.set(row, id === undefined ? none : this.#texts.take(id))
    if (before !== none) this.#texts.drop(before)
  }

  #setNetworks(row: number, attachments: NonNullable<Task["Attachments"]>): void {
    const before = this.#byNetwork.keysOf(row)
    const isSame =
      before.length === attachments.length &&
      before.every((number, at) => this.#isNumberOf(number, attachments[at]?.NetworkID))
    if (isSame) return
    this.#byNetwork.set(
      row,
      attachments.map(({ NetworkID }) => this.#texts.take(NetworkID))
    )
    for (const number of before) this.#texts.drop(number)
  }

  #unindex(row: number): void {
    const service = this.#byService.keyOf(row)
    const slot = this.#slots.get(row)
    if (slot > 0) this.#bySlot.delete({ service, slot: slot - 1 }, row)
    this.#slots.set(row, 0)
    this.#set(this.#byService, row, undefined)
    this.#set(this.#byNode, row, undefined)
    this.#byState.set(row, none)
    this.#setNetworks(row, [])
  }

  // ── objects that were wanted lately

  #keptAt(row: number): Task | undefined {
    const place = row & (keptTasks - 1)
    return this.#keptRows[place] === row ? this.#kept[place] : undefined
  }

  #keep(row: number, task: Task): void {
    const place = row & (keptTasks - 1)
    this.#kept[place] = task
    this.#keptRows[place] = row
  }

  #forget(row: number): void {
    const place = row & (keptTasks - 1)
    if (this.#keptRows[place] !== row) return
    this.#kept[place] = undefined
    this.#keptRows[place] = none
  }

  // ── gaps

  /** Once half of the rows are empty, moves tasks down, in order, a few at a time. */
  #closeGaps(): void {
    if (this.#closing === undefined) {
      if (this.#next <= 8 * rowsPerPage || this.size * 2 >= this.#next) return
      this.#closing = { to: 0, from: 0 }
    }
    const closing = this.#closing
    for (let left = rowsPerStep; left > 0 && closing.from < this.#next; left--, closing.from++) {
      if (this.#pages.startOf(closing.from) < 0) continue
      if (closing.to !== closing.from) this.#move(closing.from, closing.to)
      closing.to++
    }
    if (closing.from < this.#next) return
    this.#next = closing.to
    this.#pages.truncate(closing.to)
    this.#closing = undefined
  }

  #move(from: number, to: number): void {
    const start = this.#pages.startOf(from)
    const page = this.#pages.bytesOf(from)
    // A copy: making room in the page may shift what is in it.
    const record = Buffer.from(page.subarray(start, start + recordLength(page, start)))
    const { ID } = this.#codec.decode(record, 0)
    const service = this.#byService.keyOf(from)
    const slot = this.#slots.get(from)
    if (slot > 0) this.#bySlot.move({ service, slot: slot - 1 }, from, to)
    this.#slots.set(to, slot)
    this.#slots.set(from, 0)
    this.#byService.move(from, to)
    this.#byNode.move(from, to)
    this.#byState.move(from, to)
    this.#byNetwork.move(from, to)
    this.#byId.move(ID, from, to)
    this.#pages.write(to, record, 0, record.length, this.#pages.hashOf(from, this.#one))
    this.#pages.erase(from)
    this.#forget(from)
    this.#forget(to)
  }
}
