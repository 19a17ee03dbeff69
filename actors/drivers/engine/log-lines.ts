/**
 * A container's log as it arrives, cut into lines. Two formats: frames with an 8-byte header (containers without
 * a terminal), and bare lines (containers with one). Timestamps are always asked for, so every line begins with one.
 */
import { Buffer } from "node:buffer"
import type { LogLine } from "#actors/drivers/executor.ts"

const space = 0x20
const newline = 0x0a
const headerBytes = 8
/** What the Engine cuts longer lines into, each piece with its time. */
const pieceBytes = 16 * 1024
/** Where all bytes are no UTF-8 each is three; and a time. */
const mostPieceBytes = 3 * pieceBytes + 31
const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /

/** Collects chunks and gives back what is whole; what is not waits for the next chunk. */
export class LogLines {
  readonly #framed: boolean
  readonly #details: boolean
  #rest: Buffer = Buffer.alloc(0)

  /** `tty` and `details` as the container and the request have them. */
  constructor(options: { readonly tty: boolean; readonly details: boolean }) {
    this.#framed = !options.tty
    this.#details = options.details
  }

  push(chunk: Uint8Array): Array<LogLine> {
    const bytes = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk])
    return this.#framed ? this.#frames(bytes) : this.#lines(bytes)
  }

  /** What is left when the log ends without a newline. */
  end(): Array<LogLine> {
    const rest = this.#rest
    this.#rest = Buffer.alloc(0)
    return this.#framed || rest.length === 0 ? [] : this.#pieces(rest)
  }

  // Engine API, "Stream format": [1 stdout | 2 stderr, 0, 0, 0, length as uint32 big-endian], then the bytes.
  #frames(bytes: Buffer): Array<LogLine> {
    const lines: Array<LogLine> = []
    let at = 0
    while (bytes.length - at >= headerBytes) {
      const end = at + headerBytes + bytes.readUInt32BE(at + 4)
      if (end > bytes.length) break
      lines.push(this.#line(bytes[at] === 2 ? "stderr" : "stdout", bytes.subarray(at + headerBytes, end)))
      at = end
    }
    this.#rest = bytes.subarray(at)
    return lines
  }

  #lines(bytes: Buffer): Array<LogLine> {
    const lines: Array<LogLine> = []
    let at = 0
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, at)) {
      lines.push(...this.#pieces(bytes.subarray(at, end + 1)))
      at = end + 1
    }
    this.#rest = bytes.subarray(at)
    return lines
  }

  /** Nothing but the time of the next one is between two pieces of a terminal's long line. */
  #pieces(bytes: Buffer): Array<LogLine> {
    const pieces: Array<LogLine> = []
    for (let rest = bytes; ; ) {
      const piece = this.#line("stdout", rest)
      const least = rest.length - piece.line.length + pieceBytes
      const next = rest.toString("latin1", least, least + mostPieceBytes - pieceBytes).search(time)
      if (next < 0) return [...pieces, piece]
      pieces.push(this.#line("stdout", rest.subarray(0, least + next)))
      rest = rest.subarray(least + next)
    }
  }

  #line(stream: LogLine["stream"], bytes: Buffer): LogLine {
    const [timestamp, afterTime] = word(bytes)
    if (!this.#details) return { stream, timestamp, line: afterTime, details: "" }
    const [details, line] = word(afterTime)
    return { stream, timestamp, line, details }
  }
}

/** The text before the first space, and the bytes after it. */
function word(bytes: Buffer): [string, Buffer] {
  const end = bytes.indexOf(space)
  return end < 0 ? ["", bytes] : [bytes.toString("latin1", 0, end), bytes.subarray(end + 1)]
}
