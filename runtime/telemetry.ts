/**
 * What a process counts about its actors: per kind, over all lives, so that a counter never goes back.
 *
 * A message is counted once, by its actor's cell; a kind's figures are those of its cells and of those that are gone.
 */
import { Histogram } from "#runtime/histogram.ts"

/** Of actors of one kind: `handled` and `decide` of those that are gone, `crashes` and `restarts` of all. */
export class KindStats {
  readonly kind: string
  handled = 0
  crashes = 0
  restarts = 0
  readonly decide = new Histogram()

  constructor(kind: string) {
    this.kind = kind
  }

  /** Takes over what an actor counted that is gone for good. */
  retire(actor: { readonly handled: number; readonly decide: Histogram }): void {
    this.handled += actor.handled
    this.decide.add(actor.decide)
  }
}

/** What went to other processes and came from them. */
export interface Traffic {
  sent: number
  received: number
  sentBytes: number
  receivedBytes: number
}

export class Telemetry {
  readonly traffic: Traffic = { sent: 0, received: 0, sentBytes: 0, receivedBytes: 0 }
  /** Remote questions by how they ended: `Answer`, or the tag of an absence. */
  readonly calls = new Map<string, number>()
  readonly #kinds = new Map<string, KindStats>()

  kind(kind: string): KindStats {
    const known = this.#kinds.get(kind)
    if (known) return known
    const made = new KindStats(kind)
    this.#kinds.set(kind, made)
    return made
  }

  kinds(): IterableIterator<KindStats> {
    return this.#kinds.values()
  }

  called(outcome: string): void {
    this.calls.set(outcome, (this.calls.get(outcome) ?? 0) + 1)
  }
}
