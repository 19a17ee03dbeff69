/** How far one task's lines have been sent to the node that has the copy, and what goes next. */
import { OpenBlock } from "#actors/drivers/log-store/block.ts"
import { type Marks, resumeFrom } from "#actors/drivers/log-store/marks.ts"
import { Onward } from "#actors/drivers/log-store/onward.ts"
import { note } from "#actors/drivers/log-store/rate.ts"
import type { TaskLog } from "#actors/drivers/log-store/task-log.ts"
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
  readonly #onward: Onward
  #seq = 0
  #waiting: Parcel | undefined

  /** `marks`: how far the copy goes. */
  constructor(log: TaskLog, marks: Marks) {
    const since = resumeFrom(marks)
    this.#onward = new Onward(
      log,
      since === 0 ? log.beforeLast(mostOfBefore) : log.notBefore(toTimestamp(since))
    )
  }

  /** What goes next; the same until it has arrived. `undefined` when all is sent. */
  next(): Parcel | undefined {
    this.#waiting ??= this.#gather()
    return this.#waiting
  }

  /** The last parcel is where it should be. */
  arrived(): void {
    if (this.#waiting === undefined) return
    this.#seq = this.#waiting.seq
    this.#onward.taken()
    this.#waiting = undefined
  }

  #gather(): Parcel | undefined {
    const stretch = this.#onward.next()
    const first = stretch?.lines[0]
    if (stretch === undefined || first === undefined) return undefined
    const { lines, lost } = stretch
    const block = new OpenBlock()
    if (lost > 0) block.add(note(`${lost} lines are missing in this copy`, first.timestamp))
    for (const line of lines) block.add(line)
    return { seq: this.#seq + 1, block: block.seal({}).bytes }
  }
}
