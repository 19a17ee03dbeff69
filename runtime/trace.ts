/**
 * Who led to what: a bounded ring of the messages that this process sent and took, with what became of each.
 *
 * An entry is at the same time the `Cause` that its message hands on, so marking it needs no look-up, and a message
 * that nothing traced caused pays one check. A chain begins with a message from another process or, while the
 * budget lasts, with any message that nothing caused: on a quiet process everything is traced, on a busy one a sample.
 * A chain that has grown long here pays from the same budget to go on, because two actors that answer each other, or
 * one that wakes itself by a timer, never end theirs.
 */
import { type Address, showAddress } from "#runtime/address.ts"
import { tagOf } from "#runtime/dead-letters.ts"
import type { Cause } from "#runtime/envelope.ts"

/** One message as one process saw it. Times are milliseconds since the epoch, on that process's clock. */
export interface TraceRecord {
  readonly id: string
  /** The id of the message that led to this one. */
  readonly cause?: string
  readonly from?: string
  readonly to: string
  readonly tag: string
  readonly at: number
  /**
   * `waiting`, `handled`, `crashed`; `sent` and, once they are known, `answered` or the tag of an absence;
   * or why nobody handled it.
   */
  readonly outcome: string
  readonly decideMicros?: number
}

/** What an order leads to in one process is some ten messages deep. */
const longChain = 64

export class TraceEntry implements Cause {
  readonly id: string
  traceparent: string | undefined
  readonly cause: string | undefined
  readonly from: Address | undefined
  readonly to: Address
  readonly tag: string
  readonly at: number
  outcome: string
  decideMicros: number | undefined
  /** How many messages of this process led to this one since the budget was last asked. */
  readonly generation: number

  constructor(
    id: string,
    cause: Cause | undefined,
    from: Address | undefined,
    to: Address,
    message: unknown,
    at: number,
    outcome: string
  ) {
    this.id = id
    this.traceparent = cause?.traceparent
    this.cause = cause?.id
    this.from = from
    this.to = to
    this.tag = tagOf(message)
    this.at = at
    this.outcome = outcome
    this.decideMicros = undefined
    const before = cause instanceof TraceEntry ? cause.generation : longChain
    this.generation = before === longChain ? 0 : before + 1
  }

  mark(outcome: string, decideMicros?: number): void {
    this.outcome = outcome
    if (decideMicros !== undefined) this.decideMicros = decideMicros
  }

  record(): TraceRecord {
    const { id, cause, from, to, tag, at, outcome, decideMicros } = this
    return {
      id,
      ...(cause !== undefined && { cause }),
      ...(from && { from: showAddress(from) }),
      to: showAddress(to),
      tag,
      at,
      outcome,
      ...(decideMicros !== undefined && { decideMicros: Math.round(decideMicros * 10) / 10 })
    }
  }
}

export interface TraceOptions {
  /** How many messages are remembered. One takes about 200 bytes. */
  readonly entries?: number
  /** How many chains may begin here in a second, besides those that begin elsewhere. */
  readonly rootsPerSecond?: number
}

const usualEntries = 16_384
const usualRoots = 1_000
/** The budget is handed out in slices, so that one burst does not blind the rest of a second. */
const sliceMs = 100

export class TraceRing {
  readonly #ring: Array<TraceEntry | undefined>
  readonly #rootsPerSlice: number
  #next = 0
  #sliceEnds = 0
  #rootsLeft = 0

  constructor(options: TraceOptions = {}) {
    this.#ring = new Array(options.entries ?? usualEntries)
    this.#rootsPerSlice = Math.max(1, Math.round(((options.rootsPerSecond ?? usualRoots) * sliceMs) / 1_000))
  }

  /** Whether a message that nothing caused is to be traced: takes from the budget. `at` is the time now. */
  beginsAt(at: number): boolean {
    if (at >= this.#sliceEnds || at < this.#sliceEnds - sliceMs) {
      this.#sliceEnds = at + sliceMs
      this.#rootsLeft = this.#rootsPerSlice
    }
    if (this.#rootsLeft <= 0) return false
    this.#rootsLeft--
    return true
  }

  /** Whether what `cause` leads to must ask the budget whether it is to be traced. */
  isLong(cause: Cause): boolean {
    return cause instanceof TraceEntry && cause.generation === longChain
  }

  add(entry: TraceEntry): TraceEntry {
    this.#ring[this.#next] = entry
    this.#next = this.#next + 1 === this.#ring.length ? 0 : this.#next + 1
    return entry
  }

  /** The messages with an id of `exact`, and those that one of `ledBy` led to, oldest first, at most `limit`. */
  find(exact: ReadonlySet<string>, ledBy: ReadonlySet<string>, limit: number): ReadonlyArray<TraceRecord> {
    const found: TraceRecord[] = []
    for (const entry of this.#all()) {
      if (!exact.has(entry.id) && (entry.cause === undefined || !ledBy.has(entry.cause))) continue
      found.push(entry.record())
      if (found.length >= limit) break
    }
    return found
  }

  /** The newest messages to one actor, oldest first. */
  newest(to: Address, limit: number): ReadonlyArray<TraceRecord> {
    const name = showAddress(to)
    const found: TraceRecord[] = []
    for (const entry of this.#all()) {
      if (entry.to.id === to.id && showAddress(entry.to) === name) found.push(entry.record())
    }
    return found.slice(-limit)
  }

  *#all(): IterableIterator<TraceEntry> {
    const size = this.#ring.length
    for (let i = 0; i < size; i++) {
      const entry = this.#ring[(this.#next + i) % size]
      if (entry) yield entry
    }
  }
}
