/**
 * The digest every so many entries, which members compare: each writes its own to the log, and one that is alone with
 * its own against more than half of all has diverged.
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

/** How a member's own digest stands against what was told of the same entry. */
export type Comparison =
  | { readonly _tag: "Agreed" }
  /** More than half of the members have `theirs`. */
  | { readonly _tag: "Outvoted"; readonly own: string; readonly theirs: string }
  /** Somebody has another one, and no digest has more than half of the members. */
  | { readonly _tag: "Open"; readonly own: string; readonly told: ReadonlyMap<string, string> }

export class Marks {
  #marks: Array<Mark> = []
  /** By entry, what each member said that its own is. */
  readonly #told = new Map<number, Map<string, string>>()

  /** The latest ones, oldest first. */
  get all(): ReadonlyArray<Mark> {
    return this.#marks
  }

  add(mark: Mark): void {
    this.#marks = [...this.#marks.slice(1 - mostMarks), mark]
    const [oldest] = this.#marks as [Mark]
    for (const index of this.#told.keys()) if (index < oldest.index) this.#told.delete(index)
  }

  at(index: number): string | undefined {
    return this.#marks.find((mark) => mark.index === index)?.digest
  }

  hasTold(index: number, member: string): boolean {
    return this.#told.get(index)?.has(member) === true
  }

  /** `member` says what its own is; `members` are all who could. What has no mark here any more compares as agreed. */
  hear(member: string, { index, digest }: Mark, members: number): Comparison {
    const own = this.at(index)
    if (own === undefined) return { _tag: "Agreed" }
    const told = this.#told.get(index) ?? new Map<string, string>()
    this.#told.set(index, told)
    told.set(member, digest)
    const have = new Map<string, number>()
    for (const one of told.values()) have.set(one, (have.get(one) ?? 0) + 1)
    for (const [theirs, count] of have) {
      if (count <= members / 2) continue
      return theirs === own ? { _tag: "Agreed" } : { _tag: "Outvoted", own, theirs }
    }
    return [...have.keys()].every((one) => one === own) ? { _tag: "Agreed" } : { _tag: "Open", own, told }
  }

  clear(): void {
    this.#marks = []
    this.#told.clear()
  }
}

/** Every member makes its marks at the same entries, whatever lies between two of the log's commands. */
export const isMarked = (before: number, index: number): boolean =>
  Math.floor(before / markEvery) < Math.floor(index / markEvery)
