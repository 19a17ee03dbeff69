/**
 * Results of what was proposed lately, so that a proposal sent again after a lost answer is applied once and
 * answered alike. Part of the replicated state: it is in every snapshot.
 */
import type { Result } from "#actors/ledger/apply.ts"

/** A proposer has at most this many proposals on their way; older results are not asked for again. */
const windowSize = 1024

interface Proposer {
  readonly boot: string
  readonly results: Map<number, Result>
  /** Sequence numbers below this were forgotten. */
  floor: number
}

export type Seen =
  | { readonly _tag: "New" }
  | { readonly _tag: "Repeated"; readonly result: Result }
  /** Applied or not, its result is no longer known. */
  | { readonly _tag: "TooOld" }

/** What a snapshot keeps of one proposer. */
export interface SavedProposer {
  readonly proposer: string
  readonly boot: string
  readonly floor: number
  readonly results: ReadonlyArray<readonly [number, Result]>
}

export class Recent {
  readonly #proposers = new Map<string, Proposer>()

  look(proposer: string, boot: string, seq: number): Seen {
    const known = this.#proposers.get(proposer)
    if (known === undefined || known.boot !== boot) return { _tag: "New" }
    const result = known.results.get(seq)
    if (result !== undefined) return { _tag: "Repeated", result }
    return seq < known.floor ? { _tag: "TooOld" } : { _tag: "New" }
  }

  keep(proposer: string, boot: string, seq: number, result: Result): void {
    let known = this.#proposers.get(proposer)
    if (known === undefined || known.boot !== boot) {
      known = { boot, results: new Map(), floor: 0 }
      this.#proposers.set(proposer, known)
    }
    known.results.set(seq, result)
    if (known.results.size > windowSize) {
      const [oldest] = known.results.keys()
      if (oldest !== undefined) {
        known.results.delete(oldest)
        known.floor = Math.max(known.floor, oldest + 1)
      }
    }
  }

  save(): ReadonlyArray<SavedProposer> {
    return [...this.#proposers].map(([proposer, { boot, floor, results }]) => ({
      proposer,
      boot,
      floor,
      results: [...results]
    }))
  }

  load(saved: ReadonlyArray<SavedProposer>): void {
    this.#proposers.clear()
    for (const { proposer, boot, floor, results } of saved) {
      this.#proposers.set(proposer, { boot, floor, results: new Map(results) })
    }
  }
}
