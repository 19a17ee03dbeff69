/** Messages nobody took: counted by reason and sampled, so that silence always leaves a mark. */

export interface DeadLetterReport {
  readonly count: number
  /** The newest few, oldest first: address, message tag, reason and id; never a message's contents. */
  readonly samples: ReadonlyArray<string>
  readonly byReason: Readonly<Record<string, number>>
}

// Enough to see a pattern in `troupe doctor`, small enough to forget about.
const sampleLimit = 50

export class DeadLetters {
  #count = 0
  readonly #samples: string[] = []
  readonly #byReason = new Map<string, number>()

  /** `reason` is one of few fixed texts; `detail` may vary; `id` is the message's, where it has one. */
  add(to: string, message: unknown, reason: string, detail?: string, id?: string): void {
    this.#count++
    // Behind a colon stands what varies, such as the error that an actor ended with.
    const kind = reason.split(":", 1)[0] as string
    this.#byReason.set(kind, (this.#byReason.get(kind) ?? 0) + 1)
    const more = `${detail === undefined ? "" : ` (${detail})`}${id === undefined ? "" : ` [message ${id}]`}`
    this.#samples.push(`${to}: ${tagOf(message)}: ${reason}${more}`)
    if (this.#samples.length > sampleLimit) this.#samples.shift()
  }

  report(): DeadLetterReport {
    return {
      count: this.#count,
      samples: [...this.#samples],
      byReason: Object.fromEntries(this.#byReason)
    }
  }
}

/** What a message calls itself, for people. */
export function tagOf(message: unknown): string {
  if (typeof message === "object" && message !== null && "_tag" in message) return String(message._tag)
  return typeof message
}
