/** One task's log, read onward for somebody far away: nothing twice, and how much went before it could be read. */
import type { LogLine } from "#actors/drivers/executor.ts"
import type { Cursor, TaskLog } from "#actors/drivers/log-store/task-log.ts"

export interface Stretch {
  readonly lines: ReadonlyArray<LogLine>
  /** Lines before these that the log let go of. */
  readonly lost: number
}

export class Onward {
  readonly #log: TaskLog
  #cursor: Cursor
  /** Lines before the cursor, of all there ever were in this life. */
  #position: number
  #waiting: (Stretch & { readonly next: Cursor }) | undefined

  constructor(log: TaskLog, from: Cursor) {
    this.#log = log
    this.#cursor = from
    this.#position = log.dropped + log.linesBefore(from)
  }

  /** What comes next, a block at most; the same until it is `taken`. `undefined` at the end. */
  next(): Stretch | undefined {
    if (this.#waiting === undefined) {
      const { lines, next } = this.#log.read(this.#cursor)
      if (lines.length > 0)
        this.#waiting = { lines, lost: Math.max(0, this.#log.dropped - this.#position), next }
    }
    return this.#waiting
  }

  /** What came next is where it should be. */
  taken(): void {
    if (this.#waiting === undefined) return
    const { lines, lost, next } = this.#waiting
    this.#cursor = next
    this.#position += lost + lines.length
    this.#waiting = undefined
  }
}
