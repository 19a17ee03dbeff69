/**
 * Tasks, in insertion order, as bytes in pages (`task-pages.ts`), and where to find them: by id, service, node, slot, state
 * and network. A task is made from its bytes when it is asked for; those written lately or asked for twice are kept as they are.
 *
 * A million tasks as objects are fourteen million things for the garbage collector to walk over, which it does for tens of
 * milliseconds at a time. Here they are some ten thousand, and so are the indexes: rows in arrays of integers.
 */
import { Buffer } from "node:buffer"
import { HashSum, hashId, hashIdBytes, hashInto, hashPair } from "#actors/ledger/hash.ts"
import { Integers } from "#actors/ledger/integers.ts"
import { RowIndex } from "#actors/ledger/row-index.ts"
import { none, RowLists, RowSets } from "#actors/ledger/row-lists.ts"
import { has, numberOfState, recordLength, TaskBytes, type TaskHead } from "#actors/ledger/task-bytes.ts"
import { TaskHash } from "#actors/ledger/task-hash.ts"
import { type FrozenPage, rowsPerPage, TaskPages } from "#actors/ledger/task-pages.ts"
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
  /** Some 50 KiB each. */
  readonly pages: Iterable<FrozenPage>
}

/** Told of each task that is put back which version of which service's spec it points at. */
type Restored = (service: string, version: number) => void

export class TaskTable {
  readonly #texts = new Texts()
  readonly #words = new Words()
  readonly #codec = new TaskBytes(this.#texts, this.#words)
  readonly #pages = new TaskPages(recordLength)
  readonly #hashes = new TaskHash(this.#texts, this.#words)
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
    this.#store(row, kept, length)
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

  /**
   * Takes the records in `bytes` from `start` on, and keeps `bytes`; of each, `restored` is told the spec version that it
   * points at.
   */
  restoreRecords(bytes: Buffer, start: number, restored: Restored): void {
    for (let at = start; at < bytes.length; ) {
      const starts = new Int32Array(rowsPerPage)
      const hashes = new Int32Array(2 * rowsPerPage)
      // Rows that the page has no records for stay empty.
      const first = this.#pages.count * rowsPerPage
      const from = at
      let count = 0
      for (; count < rowsPerPage && at < bytes.length; count++) {
        starts[count] = at - from + 1
        this.#restoreRecord(first + count, bytes, at, restored)
        hashes[2 * count] = this.#one.a
        hashes[2 * count + 1] = this.#one.b
        at += recordLength(bytes, at)
      }
      this.#pages.adopt(bytes.subarray(from, at), starts, hashes)
      this.#next = first + count
    }
  }

  /** The tasks of a block that was restored. */
  *restored(bytes: Buffer, start: number): IterableIterator<Task> {
    for (let at = start; at < bytes.length; at += recordLength(bytes, at)) yield this.#codec.decode(bytes, at)
  }

  /** Leaves the task's hash in `#one`. Nothing is read of a record that it would be a waste to make an object of. */
  #restoreRecord(row: number, bytes: Buffer, at: number, restored: Restored): void {
    const head = this.#codec.plainHead(bytes, at)
    if (head === undefined) {
      const task = this.#codec.decode(bytes, at)
      this.#index(row, task)
      this.#byId.add(task.ID, row)
      this.hash.add(hashInto(this.#one, task))
      restored(task.ServiceID, task.SpecVersion)
      return
    }
    this.#indexHead(row, head)
    this.#byId.addHashed(hashIdBytes(bytes, head.idAt, head.idLength), row)
    this.hash.add(this.#hashes.of(bytes, head, this.#one))
    restored(this.#texts.at(head.service), head.specVersion)
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

  /** Puts what the codec has encoded, `length` bytes that say `task`, into `row`. */
  #store(row: number, task: Task, length: number): void {
    if (this.#pages.startOf(row) >= 0) this.hash.subtract(this.#pages.hashOf(row, this.#one))
    const { encoded } = this.#codec
    const head = this.#codec.plainHead(encoded, 0)
    if (head === undefined) hashInto(this.#one, task)
    else this.#hashes.of(encoded, head, this.#one)
    this.hash.add(this.#one)
    this.#pages.write(row, encoded, 0, length, this.#one)
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

  /** The same for a row that says nothing so far, of a task that has this head. */
  #indexHead(row: number, { flags, service, slot, node, state, attached, networks }: TaskHead): void {
    this.#texts.retake(service)
    this.#byService.set(row, service)
    if ((flags & has.slot) !== 0) {
      this.#slots.set(row, slot + 1)
      this.#bySlot.addHashed(hashPair(service, slot), row)
    }
    if ((flags & has.node) !== 0) {
      this.#texts.retake(node)
      this.#byNode.set(row, node)
    }
    this.#byState.set(row, state)
    if (attached > 0) {
      for (const network of networks) this.#texts.retake(network)
      this.#byNetwork.set(row, networks)
    }
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
