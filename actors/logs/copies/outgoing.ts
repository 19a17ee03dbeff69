/** How far one task's lines have been sent to the node that has the copy, and what goes next. */
import { OpenBlock } from "#actors/drivers/log-store/block.ts"
import { type Marks, resumeFrom } from "#actors/drivers/log-store/marks.ts"
import { note } from "#actors/drivers/log-store/rate.ts"
import type { Cursor, TaskLog } from "#actors/drivers/log-store/task-log.ts"
import { toTimestamp } from "#actors/logs/choose.ts"

/** Where there is no copy yet: so many lines of before. A node that has the copy for a moment only need not have all. */
const mostOfBefore = 10_000

export interface Parcel {
  readonly seq: number
  /** As `OpenBlock` seals it. */
  readonly block: Uint8Array
}

/** One task, one holder of the copy. */
export class Outgoing {
  readonly #log: TaskLog
  #cursor: Cursor
  /** Lines before the cursor, of all there ever were in this life. */
  #position: number
  #seq = 0
  #waiting: (Parcel & { readonly next: Cursor; readonly lines: number }) | undefined

  /** `marks`: how far the copy goes. */
  constructor(log: TaskLog, marks: Marks) {
    this.#log = log
    const since = resumeFrom(marks)
    this.#cursor = since === 0 ? log.beforeLast(mostOfBefore) : log.notBefore(toTimestamp(since))
    this.#position = log.dropped + log.linesBefore(this.#cursor)
  }

  /** What goes next; the same until it has arrived. `undefined` when all is sent. */
  next(): Parcel | undefined {
    this.#waiting ??= this.#gather()
    return this.#waiting
  }

  /** The last parcel is where it should be. */
  arrived(): void {
    if (this.#waiting === undefined) return
    const { seq, next, lines } = this.#waiting
    this.#seq = seq
    this.#cursor = next
    this.#position += lines
    this.#waiting = undefined
  }

  #gather(): (Parcel & { readonly next: Cursor; readonly lines: number }) | undefined {
    const { lines, next } = this.#log.read(this.#cursor)
    const [first] = lines
    if (first === undefined) return undefined
    // The memory let go of lines that were not sent yet.
    const lost = Math.max(0, this.#log.dropped - this.#position)
    const block = new OpenBlock()
    if (lost > 0) block.add(note(`${lost} lines are missing in this copy`, first.timestamp))
    for (const line of lines) block.add(line)
    return { seq: this.#seq + 1, block: block.seal({}).bytes, next, lines: lost + lines.length }
  }
}
