/**
 * The digest every so many entries, which members compare: the leader writes its own to the log, and a member that had
 * another one at that entry has diverged.
 */

/** Entries between two marks: a digest costs microseconds, an entry for it a thousandth of the log. */
export const markEvery = 1024
/** A mark comes back through the log within a few entries; of what is older nothing is known any more. */
const mostMarks = 64

/** The state as of the command at `index`. */
export interface Mark {
  readonly index: number
  readonly digest: string
}

export class Marks {
  #marks: Array<Mark> = []

  /** The latest ones, oldest first. */
  get all(): ReadonlyArray<Mark> {
    return this.#marks
  }

  add(mark: Mark): void {
    this.#marks = [...this.#marks.slice(1 - mostMarks), mark]
  }

  at(index: number): string | undefined {
    return this.#marks.find((mark) => mark.index === index)?.digest
  }

  clear(): void {
    this.#marks = []
  }
}

/** Every member makes its marks at the same entries, whatever lies between two of the log's commands. */
export const isMarked = (before: number, index: number): boolean =>
  Math.floor(before / markEvery) < Math.floor(index / markEvery)
