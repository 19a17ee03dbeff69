/**
 * One task's kept output: files of blocks, oldest first, and the lines that are not written yet.
 *
 * Blocks are numbered from the first one ever, which is also in the files' names; so a reader's place stays good
 * when lines are written to disk or old ones go.
 */
import { Buffer } from "node:buffer"
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync
} from "node:fs"
import { join } from "node:path"
import type { LogLine } from "#actors/drivers/executor.ts"
import { type BlockPlace, OpenBlock, parseBlocks, unseal } from "#actors/drivers/log-store/block.ts"
import { type Marks, Progress } from "#actors/drivers/log-store/marks.ts"
import { note, Rate } from "#actors/drivers/log-store/rate.ts"

/** Of lines before they are compressed: some hundred lines, and less than a message takes. */
const blockBytes = 64 * 1024
/** What is lost at once when there is too much. */
const segmentBytes = 1024 * 1024
const namePattern = /^(\d{12})\.blocks$/

/** A place between two lines. */
export interface Cursor {
  readonly block: number
  readonly line: number
}

/** A file of blocks. */
export interface Segment {
  /** The number of its first block. */
  readonly first: number
  readonly path: string
  bytes: number
  /** Milliseconds since the epoch. */
  writtenAt: number
}

/** A task's files, oldest first. */
export function listSegments(folder: string): Array<Segment> {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const first = namePattern.exec(name)?.[1]
      if (first === undefined) return []
      const path = join(folder, name)
      const { size, mtimeMs } = statSync(path)
      return [{ first: Number(first), path, bytes: size, writtenAt: mtimeMs }]
    })
}

export class TaskLog {
  readonly #folder: string
  readonly #segments: Array<Segment>
  /** What is in each segment, by its first block; read when it is first asked for. */
  readonly #blocks = new Map<number, Array<BlockPlace>>()
  readonly #waiting = new Set<() => void>()
  readonly #rate: Rate
  #progress: Progress
  /** The number that the open block will have. */
  #next = 0
  #open = new OpenBlock()
  /** When the first of the open lines came, milliseconds since the epoch. */
  #openSince = 0
  #dropped = 0
  #decoded: { readonly block: number; readonly lines: ReadonlyArray<LogLine> } | undefined

  /** Finds what the folder has; cuts off what a crash left half written. */
  constructor(folder: string, linesPerSecond: number) {
    this.#folder = folder
    this.#rate = new Rate(linesPerSecond)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#segments = listSegments(folder)
    let marks: Marks = {}
    const last = this.#segments.at(-1)
    if (last !== undefined) {
      const blocks = this.#blocksOf(last)
      this.#next = last.first + blocks.length
      marks = blocks.at(-1)?.head.marks ?? {}
    }
    this.#progress = new Progress(marks)
  }

  /** How far the task's output was read. */
  get marks(): Marks {
    return this.#progress.marks
  }

  /** Nothing that came first is gone. */
  get isComplete(): boolean {
    return this.start.block === 0
  }

  get isEmpty(): boolean {
    return this.#segments.length === 0 && this.#open.lines === 0
  }

  get segments(): ReadonlyArray<Segment> {
    return this.#segments
  }

  get lines(): number {
    let count = this.#open.lines
    for (const segment of this.#segments) for (const { head } of this.#blocksOf(segment)) count += head.lines
    return count
  }

  /** The earliest time that is kept; empty when nothing is. */
  get oldest(): string {
    const [first] = this.#segments
    return (first && this.#blocksOf(first)[0]?.head.first) ?? this.#open.first
  }

  /** Lines that had to go in this life of the process, of those that were looked at. */
  get dropped(): number {
    return this.#dropped
  }

  /** Lines that are kept before a place. */
  linesBefore({ block, line }: Cursor): number {
    let count = line
    for (const segment of this.#segments) {
      for (const [at, { head }] of this.#blocksOf(segment).entries())
        if (segment.first + at < block) count += head.lines
    }
    return count
  }

  get start(): Cursor {
    return { block: this.#segments[0]?.first ?? this.#next, line: 0 }
  }

  get end(): Cursor {
    return { block: this.#next, line: this.#open.lines }
  }

  /** Before the last so many lines. */
  beforeLast(count: number): Cursor {
    let left = count - this.#open.lines
    if (left <= 0) return { block: this.#next, line: -left }
    for (const segment of [...this.#segments].reverse()) {
      const blocks = this.#blocksOf(segment)
      for (let at = blocks.length - 1; at >= 0; at--) {
        left -= blocks[at]?.head.lines ?? 0
        if (left <= 0) return { block: segment.first + at, line: -left }
      }
    }
    return this.start
  }

  /** The first place from which a line of this time or later may come: blocks that are all earlier are left out. */
  notBefore(time: string): Cursor {
    for (const segment of this.#segments) {
      const at = this.#blocksOf(segment).findIndex(({ head }) => head.last >= time)
      if (at >= 0) return { block: segment.first + at, line: 0 }
    }
    return { block: this.#next, line: 0 }
  }

  /**
   * What follows a place, as far as its block goes, and the place after it. At the end these are no lines and the same
   * place.
   */
  read(cursor: Cursor): { readonly lines: ReadonlyArray<LogLine>; readonly next: Cursor } {
    const { start } = this
    // What the reader had before it may be gone.
    const { block, line } = cursor.block < start.block ? start : cursor
    if (block >= this.#next) {
      const lines = this.#open.from(line)
      return { lines, next: { block, line: line + lines.length } }
    }
    if (this.#decoded?.block !== block) this.#decoded = { block, lines: this.#decode(block) }
    return { lines: this.#decoded.lines.slice(line), next: { block: block + 1, line: 0 } }
  }

  /** Whether what is kept has this line, or a later one of its stream. */
  hasReached(line: Pick<LogLine, "stream" | "timestamp">): boolean {
    return this.#progress.hasReached(line)
  }

  /** The task's output is read once more from where `marks` says: what comes twice is left out. */
  resume(): void {
    this.#progress = new Progress(this.#progress.marks)
  }

  /** Takes lines as they are read; whole blocks are written. `now` is milliseconds since the epoch. */
  take(lines: Iterable<LogLine>, now: number): void {
    for (const line of lines) {
      if (!this.#progress.isNew(line)) continue
      this.#rate.take(line, (kept) => this.#add(kept, now))
      if (this.#open.bytes >= blockBytes) this.flush(now)
    }
    this.wake()
  }

  /** No more comes for now: everything is written. */
  finish(now: number): void {
    this.#rate.end((kept) => this.#add(kept, now))
    this.flush(now)
    this.wake()
  }

  /** From time to time: says what was left out, and writes lines that wait since before `time`. */
  tidy(now: number, time: number): void {
    this.#rate.end((kept) => this.#add(kept, now))
    if (this.#open.lines > 0 && this.#openSince < time) this.flush(now)
    this.wake()
  }

  /** Writes what is not written yet. What the disk does not take is left out, and a line says so. */
  flush(now: number): void {
    const { lines, last } = this.#open
    if (lines === 0) return
    try {
      this.#write(now)
    } catch (error) {
      this.#open = new OpenBlock()
      this.#add(note(`${lines} lines left out here: ${(error as Error).message}`, last), now)
    }
  }

  /** Calls once when there may be more to read. Gives back how not to be called. */
  whenMore(call: () => void): () => void {
    this.#waiting.add(call)
    return () => void this.#waiting.delete(call)
  }

  /** Whoever waits looks again. */
  wake(): void {
    if (this.#waiting.size === 0) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const call of waiting) call()
  }

  dropOldest(count: number): void {
    for (const segment of this.#segments.splice(0, count)) {
      for (const { head } of this.#blocks.get(segment.first) ?? []) this.#dropped += head.lines
      this.#blocks.delete(segment.first)
      rmSync(segment.path, { force: true })
    }
  }

  #add(line: LogLine, now: number): void {
    if (this.#open.lines === 0) this.#openSince = now
    this.#open.add(line)
  }

  #write(now: number): void {
    const { head, bytes } = this.#open.seal(this.#progress.marks)
    let segment = this.#segments.at(-1)
    if (segment === undefined || segment.bytes >= segmentBytes) {
      const path = join(this.#folder, `${String(this.#next).padStart(12, "0")}.blocks`)
      segment = { first: this.#next, path, bytes: 0, writtenAt: now }
      this.#segments.push(segment)
    }
    const blocks = this.#blocksOf(segment)
    try {
      appendFileSync(segment.path, bytes, { mode: 0o600 })
    } catch (error) {
      if (segment.bytes === 0) this.#dropLast(segment)
      else truncateSync(segment.path, segment.bytes)
      throw error
    }
    blocks.push({ head, at: segment.bytes + bytes.length - head.bytes })
    segment.bytes += bytes.length
    segment.writtenAt = now
    this.#next += 1
    this.#open = new OpenBlock()
  }

  #dropLast({ first, path }: Segment): void {
    this.#segments.pop()
    this.#blocks.delete(first)
    rmSync(path, { force: true })
  }

  #blocksOf(segment: Segment): Array<BlockPlace> {
    const known = this.#blocks.get(segment.first)
    if (known !== undefined) return known
    const { blocks, wholeBytes } =
      segment.bytes === 0 ? { blocks: [], wholeBytes: 0 } : parseBlocks(readFileSync(segment.path))
    if (wholeBytes < segment.bytes) {
      truncateSync(segment.path, wholeBytes)
      segment.bytes = wholeBytes
    }
    this.#blocks.set(segment.first, blocks)
    return blocks
  }

  #decode(block: number): ReadonlyArray<LogLine> {
    const segment = this.#segments.findLast(({ first }) => first <= block)
    const place = segment && this.#blocksOf(segment)[block - segment.first]
    if (segment === undefined || place === undefined) return []
    const { head } = place
    return (
      unseal(place, readPart(segment.path, place)) ?? [
        note(`${head.lines} lines left out here: they are damaged on disk`, head.first)
      ]
    )
  }
}

/** A file that somebody removed or cut is damaged, too. */
function readPart(path: string, { head, at }: BlockPlace): Buffer {
  const bytes = Buffer.alloc(head.bytes)
  try {
    const file = openSync(path, "r")
    try {
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, at))
    } finally {
      closeSync(file)
    }
  } catch {
    return bytes.subarray(0, 0)
  }
}
