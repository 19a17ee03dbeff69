/**
 * Lines of a task's output as a block of a file: a line of JSON that says what is in it, then the lines themselves,
 * compressed. Who looks for a time or for the last lines reads the first lines of blocks only.
 */
import { Buffer } from "node:buffer"
import { crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { Schema } from "effect"
import type { LogLine } from "#actors/drivers/executor.ts"
import { Marks } from "#actors/drivers/log-store/marks.ts"

const text = Schema.String
const whole = Schema.Int

export const BlockHead = Schema.Struct({
  v: Schema.Literal(1),
  lines: whole,
  /** The earliest and the latest time in it, RFC 3339 with nine digits. */
  first: text,
  last: text,
  /** How far the task's output was read when the block was written. */
  marks: Marks,
  /** Of the compressed lines, which follow the head. */
  bytes: whole,
  crc: whole
})
export type BlockHead = typeof BlockHead.Type

const isHead = Schema.is(BlockHead)
const newline = 0x0a
/** Stream, length of the time, length of the details, length of the line; then these three. */
const recordHead = 8
const longestTime = 0xff
const longestDetails = 0xffff
/** A block is full at 64 KiB and a line, and a line has 16 KiB: what is larger is none of ours. */
const largestBlock = 1024 * 1024

/** Of many tasks nothing waits: room is made for those that write. */
const nothing = Buffer.alloc(0)
const firstBytes = 4 * 1024

/** Lines that are not written yet, as they will be written. */
export class OpenBlock {
  #bytes = nothing
  #used = 0
  readonly #offsets: Array<number> = []
  #first = ""
  #last = ""

  /** Of the lines, before they are compressed. */
  get bytes(): number {
    return this.#used
  }

  get lines(): number {
    return this.#offsets.length
  }

  get first(): string {
    return this.#first
  }

  get last(): string {
    return this.#last
  }

  add({ stream, timestamp, details, line }: LogLine): void {
    this.#makeRoom(recordHead + timestamp.length + details.length + line.length)
    const bytes = this.#bytes
    const at = this.#used
    this.#offsets.push(at)
    const time = bytes.write(timestamp.slice(0, longestTime), at + recordHead, "latin1")
    const labels = bytes.write(details.slice(0, longestDetails), at + recordHead + time, "latin1")
    bytes[at] = stream === "stderr" ? 2 : 1
    bytes[at + 1] = time
    bytes.writeUInt16BE(labels, at + 2)
    bytes.writeUInt32BE(line.length, at + 4)
    bytes.set(line, at + recordHead + time + labels)
    this.#used = at + recordHead + time + labels + line.length
    if (this.#first === "" || timestamp < this.#first) this.#first = timestamp
    if (timestamp > this.#last) this.#last = timestamp
  }

  /** The lines from the given one on. They stay as they are when more are added. */
  from(line: number): ReadonlyArray<LogLine> {
    const at = this.#offsets[line]
    return at === undefined ? [] : parseLines(Buffer.from(this.#bytes.subarray(at, this.#used)))
  }

  /** The block as it is written. */
  seal(marks: Marks): { readonly head: BlockHead; readonly bytes: Buffer } {
    const packed = zstdCompressSync(this.#bytes.subarray(0, this.#used))
    const head: BlockHead = {
      v: 1,
      lines: this.lines,
      first: this.#first,
      last: this.#last,
      marks,
      bytes: packed.length,
      crc: crc32(packed)
    }
    return { head, bytes: Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), packed]) }
  }

  #makeRoom(more: number): void {
    if (this.#used + more <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#used + more, firstBytes))
    this.#bytes.copy(larger, 0, 0, this.#used)
    this.#bytes = larger
  }
}

/** A block in a file. */
export interface BlockPlace {
  readonly head: BlockHead
  /** Where its compressed lines begin. */
  readonly at: number
}

/** The blocks of a file, and how much of it is whole: a crash may have cut the last one short. */
export function parseBlocks(file: Buffer): {
  readonly blocks: Array<BlockPlace>
  readonly wholeBytes: number
} {
  const blocks: Array<BlockPlace> = []
  let at = 0
  while (at < file.length) {
    const end = file.indexOf(newline, at)
    const head = end < 0 ? undefined : parseHead(file.toString("utf8", at, end))
    if (head === undefined || end + 1 + head.bytes > file.length) break
    blocks.push({ head, at: end + 1 })
    at = end + 1 + head.bytes
  }
  return { blocks, wholeBytes: at }
}

function parseHead(line: string): BlockHead | undefined {
  try {
    const head: unknown = JSON.parse(line)
    return isHead(head) ? head : undefined
  } catch {
    return undefined
  }
}

/** The lines of a block; `undefined` when they are not as they were written. */
export function unseal({ head }: BlockPlace, packed: Buffer): ReadonlyArray<LogLine> | undefined {
  if (packed.length !== head.bytes || crc32(packed) !== head.crc) return undefined
  return parseLines(zstdDecompressSync(packed, { maxOutputLength: largestBlock }))
}

function parseLines(bytes: Buffer): Array<LogLine> {
  const lines: Array<LogLine> = []
  for (let at = 0; at < bytes.length; ) {
    const details = at + recordHead + (bytes[at + 1] as number)
    const line = details + bytes.readUInt16BE(at + 2)
    const end = line + bytes.readUInt32BE(at + 4)
    lines.push({
      stream: bytes[at] === 2 ? "stderr" : "stdout",
      timestamp: bytes.toString("latin1", at + recordHead, details),
      details: bytes.toString("latin1", details, line),
      line: bytes.subarray(line, end)
    })
    at = end
  }
  return lines
}
