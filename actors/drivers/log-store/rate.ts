/**
 * How many lines of a task are kept: so many a second over each ten seconds, by the times on the lines, so that
 * reading the past at once costs nobody anything. What is more is left out, and a line says how much it was.
 */
import { Buffer } from "node:buffer"
import type { LogLine } from "#actors/drivers/executor.ts"

const windowSeconds = 10
/** `2026-11-26T08:20:5`: all times of the same ten seconds begin alike. */
const windowLength = 18

type Keep = (line: LogLine) => void

export class Rate {
  readonly #perSecond: number
  #window = ""
  #count = 0
  #dropped = 0
  #lastDropped: LogLine | undefined

  /** `perSecond` lines; `Infinity` for all. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Keeps the line if it is within the rate, after what must be said of lines before it that were not. */
  take(line: LogLine, keep: Keep): void {
    if (this.#window === "" || !line.timestamp.startsWith(this.#window)) {
      this.end(keep)
      this.#window = line.timestamp.slice(0, windowLength)
      this.#count = 0
    }
    this.#count += 1
    if (this.#count <= this.#perSecond * windowSeconds) keep(line)
    else {
      this.#dropped += 1
      this.#lastDropped = line
    }
  }

  /** Says what is still to be said, when no line follows for now. */
  end(keep: Keep): void {
    const last = this.#lastDropped
    if (last === undefined) return
    keep(note(`${this.#dropped} lines left out here: more than ${this.#perSecond} a second`, last.timestamp))
    this.#dropped = 0
    this.#lastDropped = undefined
  }
}

/** A line of our own among the task's, on stderr. */
export const note = (text: string, timestamp: string): LogLine => ({
  stream: "stderr",
  timestamp,
  details: "",
  line: Buffer.from(`troupe: ${text}\n`)
})
