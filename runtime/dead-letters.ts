/** Messages nobody took: counted by reason, tag and receiver and sampled, so that silence always leaves a mark. */

export interface DeadLetterReport {
  readonly count: number
  /** The newest few, oldest first: address, message tag, reason and id; never a message's contents. */
  readonly samples: ReadonlyArray<string>
  readonly byReason: Readonly<Record<string, number>>
  /** By the message's own tag, and by the kind of actor that it was for; `other` once there are too many of them. */
  readonly byTag: Readonly<Record<string, number>>
  readonly byKind: Readonly<Record<string, number>>
}

// Enough to see a pattern in `troupe doctor`, small enough to forget about.
const sampleLimit = 50
/** Tags and kinds may come from other processes, which must not make us remember without end. */
const namesLimit = 100

export class DeadLetters {
  #count = 0
  readonly #samples: string[] = []
  readonly #byReason = new Map<string, number>()
  readonly #byTag = new Map<string, number>()
  readonly #byKind = new Map<string, number>()

  /** `reason` is one of few fixed texts; `detail` may vary; `id` is the message's, where it has one. */
  add(to: string, message: unknown, reason: string, detail?: string, id?: string): void {
    this.#count++
    const tag = tagOf(message)
    // Behind a colon stands what varies, such as the error that an actor ended with.
    count(this.#byReason, reason.split(":", 1)[0] as string)
    count(this.#byTag, tag)
    count(this.#byKind, to.split("/")[1] ?? "other")
    const more = `${detail === undefined ? "" : ` (${detail})`}${id === undefined ? "" : ` [message ${id}]`}`
    this.#samples.push(`${to}: ${tag}: ${reason}${more}`)
    if (this.#samples.length > sampleLimit) this.#samples.shift()
  }

  report(): DeadLetterReport {
    return {
      count: this.#count,
      samples: [...this.#samples],
      byReason: Object.fromEntries(this.#byReason),
      byTag: Object.fromEntries(this.#byTag),
      byKind: Object.fromEntries(this.#byKind)
    }
  }
}

function count(counts: Map<string, number>, name: string): void {
  const known = counts.has(name) || counts.size < namesLimit ? name : "other"
  counts.set(known, (counts.get(known) ?? 0) + 1)
}

/** What a message calls itself, for people. */
export function tagOf(message: unknown): string {
  if (typeof message === "object" && message !== null && "_tag" in message) return String(message._tag)
  return typeof message
}
