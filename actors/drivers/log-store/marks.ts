/**
 * How far a task's output was read, and what of a second reading is new.
 *
 * Each of the two streams is stamped by a writer of its own, so times rise within a stream but not across both; and
 * the pieces of one long line share a time. So a place is, for each stream, a time and how many lines had it.
 */
import { Schema } from "effect"
import type { LogLine } from "#actors/drivers/executor.ts"
import { toMs } from "#actors/model/time.ts"

export const Mark = Schema.Struct({ time: Schema.String, count: Schema.Int })
export type Mark = typeof Mark.Type

export const Marks = Schema.Struct({
  stdout: Schema.optionalKey(Mark),
  stderr: Schema.optionalKey(Mark)
})
export type Marks = typeof Marks.Type

type Timed = Pick<LogLine, "stream" | "timestamp">

interface Place {
  time: string
  count: number
  /** Lines of that time met in this reading, while it goes over what is known. */
  met: number
  overKnown: boolean
}

/** Seconds since the epoch from which to read on: a second early, because the streams are stamped apart. */
export function resumeFrom({ stdout, stderr }: Marks): number {
  const newest = Math.max(toMs(stdout?.time), toMs(stderr?.time))
  return newest === 0 ? 0 : Math.max(0, Math.floor(newest / 1000) - 1)
}

/** One reading of a task's output, from some place on. */
export class Progress {
  readonly #places: Record<LogLine["stream"], Place>

  constructor(marks: Marks) {
    const place = (mark: Mark | undefined): Place => ({
      time: mark?.time ?? "",
      count: mark?.count ?? 0,
      met: 0,
      overKnown: mark !== undefined
    })
    this.#places = { stdout: place(marks.stdout), stderr: place(marks.stderr) }
  }

  get marks(): Marks {
    const mark = ({ time, count }: Place): Mark | undefined => (count === 0 ? undefined : { time, count })
    const stdout = mark(this.#places.stdout)
    const stderr = mark(this.#places.stderr)
    return { ...(stdout && { stdout }), ...(stderr && { stderr }) }
  }

  /** Whether the line is new; it is known from then on. */
  isNew({ stream, timestamp }: Timed): boolean {
    const place = this.#places[stream]
    if (place.overKnown) {
      if (timestamp < place.time) return false
      if (timestamp === place.time && ++place.met <= place.count) return false
      place.overKnown = timestamp === place.time
    }
    if (timestamp === place.time) place.count += 1
    else {
      place.time = timestamp
      place.count = 1
    }
    return true
  }

  /** Whether this line, or a later one of its stream, was read. */
  hasReached({ stream, timestamp }: Timed): boolean {
    const { time, count } = this.#places[stream]
    return count > 0 && time >= timestamp
  }
}
