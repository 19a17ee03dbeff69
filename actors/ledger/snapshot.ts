/**
 * Snapshots as bytes, format 3: a mark, then blocks that each carry their length and checksum.
 *
 *     file   = mark, block…             the last block ends with an `end` record, or the snapshot is torn
 *     block  = length, CRC-32, records  two 32-bit words, little end first; 64 KiB or so at most
 *     record = kind, value              one byte and one value as `pack.ts` writes it, or
 *              `tasks`, task…           to the end of the block, as they are kept (`task-bytes.ts`)
 *
 * Streamed both ways, block by block, so that neither way holds up anything else for longer than a block takes. What is
 * read counts only once all of it was read: a torn, damaged or newer snapshot is an error and leaves nothing behind.
 * Format 2, each task a value, and format 1, lines of JSON (`snapshot-lines.ts`), are still read.
 */
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import { digestOf } from "#actors/ledger/digest.ts"
import { Packer, Unpacker } from "#actors/ledger/pack.ts"
import type { Kind, MakeView, Tables, View } from "#actors/ledger/reader.ts"
import { Recent, type SavedProposer } from "#actors/ledger/recent.ts"
import { decodeLines, isLines } from "#actors/ledger/snapshot-lines.ts"
import { kinds, LedgerTables, lesserKinds } from "#actors/ledger/tables.ts"
import type { FrozenPage } from "#actors/ledger/task-pages.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import { BrokenInvariant } from "#runtime/assert.ts"

/** Raised when the meaning of what is kept changes; an unknown one halts the member. */
const snapshotFormat = 3

const markBytes = 8
/** A byte that no text begins with, the name, the format. */
const markOf = (format: number): Uint8Array =>
  new Uint8Array([0x89, 0x54, 0x4c, 0x45, 0x44, 0x47, 0x0a, format])
const blockHeadBytes = 8
/** A block ends with what fills it: half a millisecond to pack, which is how finely its writing can be cut. */
const blockBytes = 32 * 1024
/** Or with so many objects: those that are alike take few bytes each, and as much time as others. */
const blockObjects = 128
/** One object may be larger than a block, but not than this: an entry carries at most 1.5 MiB or so. */
const largestBlock = 64 * 1024 * 1024

/** Kinds of records; a number is never used for anything else. */
const record = {
  head: 1,
  recent: 2,
  cluster: 3,
  spec: 4,
  node: 5,
  network: 6,
  secret: 7,
  config: 8,
  service: 9,
  /** Of format 2. */
  task: 10,
  end: 11,
  /** What tasks name by number: a number and an id, or the next word. */
  text: 12,
  word: 13,
  tasks: 14,
  volume: 15
} as const
const kindOf = new Map<number, Kind>(kinds.map((kind) => [record[kind], kind]))

interface Head {
  readonly index: number
  readonly time: number
}

/** How many objects came before, and the state's digest. */
interface End {
  readonly objects: number
  readonly digest: string
}

/**
 * The state as of now in chunks of 64 KiB or so at most, one block each; what is applied while they are taken does not show.
 * Several may be under way at once, each of its own moment. A chunk of tasks is a copy of a page.
 */
export function encodeSnapshot(tables: LedgerTables, recent: Recent): Iterable<Uint8Array> {
  const frozen = tables.freeze()
  const saved = recent.save()
  const digest = digestOf(tables, recent)
  return {
    *[Symbol.iterator]() {
      const packer = new Packer()
      let objects = 0
      let inBlock = 0
      const endBlock = (): Uint8Array => {
        inBlock = 0
        return blockOfPacked(packer)
      }
      yield markOf(snapshotFormat)
      const put = (kind: number, value: unknown): boolean => {
        packer.byte(kind)
        packer.value(value)
        objects++
        return packer.length >= blockBytes || ++inBlock >= blockObjects
      }
      put(record.head, { index: frozen.index, time: frozen.time } satisfies Head)
      for (const proposer of saved) if (put(record.recent, proposer)) yield endBlock()
      if (frozen.cluster !== undefined) put(record.cluster, frozen.cluster)
      for (const { serviceId, version, spec } of frozen.specs) {
        if (put(record.spec, [serviceId, version, spec])) yield endBlock()
      }
      for (const kind of lesserKinds) {
        for (const object of frozen.tables[kind]) if (put(record[kind], object)) yield endBlock()
      }
      for (const [number, text] of frozen.tasks.texts.entries()) {
        if (text !== undefined && put(record.text, [number, text])) yield endBlock()
      }
      for (const word of frozen.tasks.words) if (put(record.word, word)) yield endBlock()
      if (packer.length > 0) yield endBlock()
      for (const page of frozen.tasks.pages) if (page.length > 0) yield blockOf(page)
      objects += frozen.tasks.count
      put(record.end, { objects, digest } satisfies End)
      yield endBlock()
    }
  }
}

function blockOfPacked(packer: Packer): Uint8Array {
  const block = emptyBlock(packer.length)
  block.set(packer.bytes, blockHeadBytes)
  packer.begin()
  return sealed(block)
}

function blockOf(page: FrozenPage): Uint8Array {
  const block = emptyBlock(1 + page.length)
  block[blockHeadBytes] = record.tasks
  page.copyTo(block, blockHeadBytes + 1)
  return sealed(block)
}

// Memory of its own, which whoever takes it may keep.
const emptyBlock = (bytes: number): Buffer => Buffer.allocUnsafeSlow(blockHeadBytes + bytes)

function sealed(block: Buffer): Uint8Array {
  const bytes = block.subarray(blockHeadBytes)
  block.writeUInt32LE(bytes.length, 0)
  block.writeUInt32LE(crc32(bytes), 4)
  return block
}

/** The state that a snapshot holds, and into `recent` the results it kept. Throws, and changes nothing, when it is bad. */
export function decodeSnapshot(chunks: Iterable<Uint8Array>, recent: Recent): LedgerTables {
  const steps = decodeInSteps(chunks, recent)
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value
}

/** The same, a block at a time: a millisecond or two each. The tables come with `views`. */
export function* decodeInSteps(
  chunks: Iterable<Uint8Array>,
  recent: Recent,
  views: Iterable<MakeView<View>> = []
): Generator<void, LedgerTables> {
  const pieces = new Pieces(chunks)
  const mark = pieces.peek(markBytes)
  if (isLines(mark)) return decodeLines(pieces.rest(), recent)
  if (mark.length < markBytes || !mark.subarray(0, 7).equals(markOf(0).subarray(0, 7))) {
    throw new BrokenInvariant("This is not a snapshot of the ledger")
  }
  if (mark[7] !== snapshotFormat && mark[7] !== 2) {
    throw new BrokenInvariant(`The snapshot has format ${mark[7]}, this release reads 1 to ${snapshotFormat}`)
  }
  pieces.take(markBytes)
  const tables = new LedgerTables(views)
  const saved: Array<SavedProposer> = []
  let objects = 0
  let end: End | undefined
  while (end === undefined) {
    const bytes = takeBlock(pieces)
    yield
    if (bytes[0] === record.tasks) {
      objects += tables.restoreTasks(bytes, 1)
      continue
    }
    const block = new Unpacker(bytes)
    while (!block.done && end === undefined) {
      const kind = block.byte()
      const value = block.value()
      if (kind === record.end) end = value as End
      else {
        putBack(tables, saved, kind, value)
        objects++
      }
    }
    if (end !== undefined && !block.done) throw new BrokenInvariant("The snapshot goes on after its end")
  }
  if (pieces.peek(1).length > 0) throw new BrokenInvariant("The snapshot goes on after its end")
  const loaded = new Recent()
  loaded.load(saved)
  const digest = digestOf(tables, loaded)
  if (end.objects !== objects || end.digest !== digest) {
    throw new BrokenInvariant(
      `The snapshot was written with ${end.objects} objects and digest ${end.digest}, and holds ${objects} with ${digest}`
    )
  }
  recent.load(saved)
  return tables
}

function takeBlock(pieces: Pieces): Buffer {
  const head = pieces.take(blockHeadBytes)
  const length = head.readUInt32LE(0)
  const sum = head.readUInt32LE(4)
  if (length > largestBlock) throw new BrokenInvariant(`A block of the snapshot claims ${length} bytes`)
  const bytes = pieces.take(length)
  if (crc32(bytes) !== sum)
    throw new BrokenInvariant("A block of the snapshot is damaged: its checksum differs")
  return bytes
}

function putBack(tables: LedgerTables, saved: Array<SavedProposer>, kind: number, value: unknown): void {
  const table = kindOf.get(kind)
  if (table !== undefined) {
    tables.put(table, value as Tables[typeof table], true)
    return
  }
  switch (kind) {
    case record.head: {
      const head = value as Head
      tables.index = head.index
      tables.time = head.time
      return
    }
    case record.recent:
      saved.push(value as SavedProposer)
      return
    case record.cluster:
      tables.setCluster(value as Cluster, true)
      return
    case record.spec:
      tables.keepSpec(...(value as [string, number, TaskSpec]))
      return
    case record.text:
      tables.restoreText(...(value as [number, string]))
      return
    case record.word:
      tables.restoreWord(value as string)
      return
    default:
      throw new BrokenInvariant(
        `The snapshot holds records of kind ${kind}, which this release does not know`
      )
  }
}

/** Bytes from chunks whose boundaries mean nothing. */
class Pieces {
  readonly #chunks: Iterator<Uint8Array>
  #rest: Buffer = Buffer.alloc(0)

  constructor(chunks: Iterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.iterator]()
  }

  /** The next bytes, which stay: fewer than `count` where there are no more. */
  peek(count: number): Buffer {
    if (this.#rest.length < count) {
      const gathered = this.#rest.length === 0 ? [] : [this.#rest]
      let length = this.#rest.length
      while (length < count) {
        const next = this.#chunks.next()
        if (next.done === true) break
        gathered.push(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength))
        length += next.value.length
      }
      // A block that came as one chunk is not copied.
      this.#rest = gathered.length === 1 ? (gathered[0] as Buffer) : Buffer.concat(gathered)
    }
    return this.#rest.subarray(0, count)
  }

  take(count: number): Buffer {
    const taken = this.peek(count)
    if (taken.length < count) throw new BrokenInvariant("The snapshot is torn: it ends before its end")
    this.#rest = this.#rest.subarray(count)
    return taken
  }

  *rest(): IterableIterator<Uint8Array> {
    if (this.#rest.length > 0) yield this.#rest
    for (let next = this.#chunks.next(); next.done !== true; next = this.#chunks.next()) yield next.value
  }
}
