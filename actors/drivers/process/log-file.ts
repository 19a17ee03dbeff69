/**
 * A task's log on disk: `log` and the older `log.1`, `log.2`…, in the format of Kubernetes' container runtimes
 * (`<time> <stream> F|P <bytes>`, P for a line without its newline), written by the shim and read by the node.
 */
import { Buffer } from "node:buffer"
import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import type { LogLine } from "#actors/drivers/executor.ts"

/** A line longer than this is written in pieces, as the Engine does. */
const longestLine = 16 * 1024
const newline = 0x0a
const space = 0x20

export interface LogLimits {
  readonly maxBytes: number
  readonly maxFiles: number
}

/** Where the file of that age is, 0 for the one being written. */
export const logPath = (folder: string, age: number): string => join(folder, age === 0 ? "log" : `log.${age}`)

/**
 * Appends output as it comes, and turns the files over when they are full. What the disk does not take is left out, and
 * a line says so as soon as there is room.
 */
export class LogWriter {
  readonly #folder: string
  readonly #limits: LogLimits
  readonly #rest: Record<LogLine["stream"], Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  readonly #unwritten: Array<Buffer> = []
  /** Lines among what is not written yet, and the time of the first. */
  #lines = 0
  #since = ""
  /** What was left out last, if nothing was written after it. */
  #left: { readonly since: string; lines: number; why: string } | undefined
  /** Absent where another could not be begun. */
  #file: number | undefined
  /** Of the file. */
  #written = 0
  /** The same, with what is not written yet. */
  #bytes = 0
  #lastTime = 0n

  constructor(folder: string, limits: LogLimits) {
    this.#folder = folder
    this.#limits = limits
    try {
      this.#open()
    } catch {
      // It is tried again with the first line.
    }
  }

  write(stream: LogLine["stream"], chunk: Buffer): void {
    const bytes = this.#rest[stream].length === 0 ? chunk : Buffer.concat([this.#rest[stream], chunk])
    let at = 0
    while (at < bytes.length) {
      const end = bytes.indexOf(newline, at)
      const whole = end >= 0 && end - at < longestLine
      if (!whole && bytes.length - at < longestLine) break
      const next = whole ? end + 1 : at + longestLine
      this.#add(stream, whole, bytes.subarray(at, next))
      at = next
    }
    // A copy, so that a few bytes do not hold a whole chunk.
    this.#rest[stream] = Buffer.from(bytes.subarray(at))
    this.#flush()
  }

  /** Writes what had no newline, and closes. */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#rest[stream].length > 0) this.#add(stream, false, this.#rest[stream])
    }
    this.#flush()
    this.#close()
  }

  #add(stream: LogLine["stream"], whole: boolean, line: Buffer): void {
    // Never the same time twice, so that "since" tells lines apart.
    const now = wallNanos()
    this.#lastTime = now > this.#lastTime ? now : this.#lastTime + 1n
    const time = toRfc3339Nano(this.#lastTime)
    const head = Buffer.from(`${time} ${stream} ${whole ? "F" : "P"} `)
    const bytes = head.length + line.length + (whole ? 0 : 1)
    if (this.#bytes > 0 && this.#bytes + bytes > this.#limits.maxBytes) {
      this.#flush()
      this.#turnOver()
    }
    if (this.#lines === 0) this.#since = time
    this.#lines += 1
    this.#bytes += bytes
    this.#unwritten.push(head, line)
    if (!whole) this.#unwritten.push(Buffer.of(newline))
  }

  #flush(): void {
    if (this.#lines === 0) return
    try {
      this.#append(Buffer.concat([this.#noteOfLeft(), ...this.#unwritten]))
      this.#left = undefined
    } catch (error) {
      this.#left ??= { since: this.#since, lines: 0, why: "" }
      this.#left.lines += this.#lines
      this.#left.why = (error as Error).message
    }
    this.#unwritten.length = 0
    this.#lines = 0
    this.#bytes = this.#written
  }

  #noteOfLeft(): Buffer {
    if (this.#left === undefined) return Buffer.alloc(0)
    const { since, lines, why } = this.#left
    return Buffer.from(`${since} stderr F troupe: ${lines} lines left out here: ${why}\n`)
  }

  /** All of it or nothing: of a line that is torn, the next would be a part. */
  #append(bytes: Buffer): void {
    const file = this.#file ?? this.#open()
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
      this.#written += bytes.length
    } catch (error) {
      ftruncateSync(file, this.#written)
      throw error
    }
  }

  #open(): number {
    this.#file = openSync(logPath(this.#folder, 0), "a", 0o600)
    this.#written = fstatSync(this.#file).size
    this.#bytes = this.#written
    return this.#file
  }

  #turnOver(): void {
    this.#close()
    const oldest = this.#limits.maxFiles - 1
    if (oldest === 0) rmSync(logPath(this.#folder, 0), { force: true })
    for (let age = oldest; age > 0; age--) {
      try {
        renameSync(logPath(this.#folder, age - 1), logPath(this.#folder, age))
      } catch {
        // There are not that many yet.
      }
    }
    this.#written = 0
    this.#bytes = 0
  }

  #close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

/** Bytes of a log file back into lines; what is not whole waits for the next chunk. */
export class LogReader {
  #rest: Buffer = Buffer.alloc(0)

  push(chunk: Uint8Array): Array<LogLine> {
    const bytes = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk])
    const lines: Array<LogLine> = []
    let at = 0
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, at)) {
      const line = parseLine(bytes.subarray(at, end + 1))
      if (line !== undefined) lines.push(line)
      at = end + 1
    }
    this.#rest = Buffer.from(bytes.subarray(at))
    return lines
  }
}

function parseLine(bytes: Buffer): LogLine | undefined {
  const first = bytes.indexOf(space)
  const second = bytes.indexOf(space, first + 1)
  const third = bytes.indexOf(space, second + 1)
  if (first < 0 || second < 0 || third < 0) return undefined
  const stream = bytes.toString("latin1", first + 1, second)
  const whole = bytes.toString("latin1", second + 1, third) === "F"
  if (stream !== "stdout" && stream !== "stderr") return undefined
  const line = bytes.subarray(third + 1, whole ? bytes.length : bytes.length - 1)
  return { stream, timestamp: bytes.toString("latin1", 0, first), line, details: "" }
}

const nanosPerSecond = 1_000_000_000n
let offset = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint()

/** The wall clock in nanoseconds: its milliseconds, with the steady clock's finer digits. */
function wallNanos(): bigint {
  const coarse = BigInt(Date.now()) * 1_000_000n
  const fine = process.hrtime.bigint() + offset
  const apart = fine - coarse
  if (apart >= 0n && apart < 2_000_000n) return fine
  // The wall clock was set.
  offset += coarse - fine
  return coarse
}

function toRfc3339Nano(nanos: bigint): string {
  const seconds = new Date(Number(nanos / nanosPerSecond) * 1000).toISOString().slice(0, 19)
  return `${seconds}.${String(nanos % nanosPerSecond).padStart(9, "0")}Z`
}
