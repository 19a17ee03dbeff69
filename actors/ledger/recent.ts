/**
 * Results of what was proposed lately, so that a proposal sent again after a lost answer is applied once and
 * answered alike. Part of the replicated state: it is in every snapshot and in the digest.
 *
 * Bounded by counts alone, which every member has alike. What was forgotten is told `TooOld`, never applied again.
 */
import type { Result } from "#actors/ledger/apply.ts"
import { HashSum, hashInto, showHash } from "#actors/ledger/hash.ts"

/** A proposer has at most this many proposals on their way; older results are not asked for again. */
const windowSize = 1024
/** Boots of a proposer that ended: what is still on its way from one is not applied after the next one has begun. */
const mostRetired = 8
/** Only managers propose; those that were heard least lately are forgotten beyond this. */
const mostProposers = 64

interface Proposer {
  readonly boot: string
  readonly results: Map<number, Result>
  readonly retired: ReadonlyArray<string>
  /** Sequence numbers below this were forgotten. */
  floor: number
}

export type Seen =
  | { readonly _tag: "New" }
  | { readonly _tag: "Repeated"; readonly result: Result }
  /** Applied or not, its result is no longer known. */
  | { readonly _tag: "TooOld" }

/** What a snapshot keeps of one proposer, those heard least lately first. `retired` is absent where there is none. */
export interface SavedProposer {
  readonly proposer: string
  readonly boot: string
  readonly floor: number
  readonly results: ReadonlyArray<readonly [number, Result]>
  readonly retired?: ReadonlyArray<string>
}

export class Recent {
  readonly #proposers = new Map<string, Proposer>()
  #latest: string | undefined
  /** The sum of the hashes of all results. */
  readonly #hash = new HashSum()
  readonly #one = { a: 0, b: 0 }

  look(proposer: string, boot: string, seq: number): Seen {
    const known = this.#proposers.get(proposer)
    if (known === undefined) return { _tag: "New" }
    if (known.boot !== boot) return { _tag: known.retired.includes(boot) ? "TooOld" : "New" }
    const result = known.results.get(seq)
    if (result !== undefined) return { _tag: "Repeated", result }
    return seq < known.floor ? { _tag: "TooOld" } : { _tag: "New" }
  }

  keep(proposer: string, boot: string, seq: number, result: Result): void {
    const known = this.#of(proposer, boot)
    known.results.set(seq, result)
    this.#hash.add(this.#hashOf(proposer, boot, seq, result))
    if (known.results.size <= windowSize) return
    for (const [oldest, forgotten] of known.results) {
      known.results.delete(oldest)
      this.#hash.subtract(this.#hashOf(proposer, boot, oldest, forgotten))
      known.floor = Math.max(known.floor, oldest + 1)
      return
    }
  }

  /** The same on every member that has applied the same entries. */
  digest(): string {
    const sum = new HashSum()
    sum.add(this.#hash)
    for (const [proposer, { boot, floor, retired }] of this.#proposers) {
      sum.add(hashInto(this.#one, [proposer, boot, floor, retired]))
    }
    return showHash(sum)
  }

  save(): ReadonlyArray<SavedProposer> {
    return [...this.#proposers].map(([proposer, { boot, floor, results, retired }]) => ({
      proposer,
      boot,
      floor,
      results: [...results],
      ...(retired.length === 0 ? {} : { retired })
    }))
  }

  load(saved: ReadonlyArray<SavedProposer>): void {
    this.#proposers.clear()
    this.#hash.clear()
    this.#latest = undefined
    for (const { proposer, boot, floor, results, retired } of saved) {
      this.#proposers.set(proposer, { boot, floor, results: new Map(results), retired: retired ?? [] })
      this.#latest = proposer
      for (const [seq, result] of results) this.#hash.add(this.#hashOf(proposer, boot, seq, result))
    }
  }

  #of(proposer: string, boot: string): Proposer {
    const before = this.#proposers.get(proposer)
    if (before !== undefined && before.boot === boot && this.#latest === proposer) return before
    let known = before
    if (known === undefined || known.boot !== boot) {
      const retired = known === undefined ? [] : [...known.retired, known.boot].slice(-mostRetired)
      if (known !== undefined) this.#forget(proposer, known)
      known = { boot, results: new Map(), floor: 0, retired }
    }
    // The order of the map is the order in which they were heard last.
    this.#proposers.delete(proposer)
    this.#proposers.set(proposer, known)
    this.#latest = proposer
    if (this.#proposers.size > mostProposers) {
      for (const [quietest, forgotten] of this.#proposers) {
        this.#forget(quietest, forgotten)
        this.#proposers.delete(quietest)
        break
      }
    }
    return known
  }

  #forget(proposer: string, { boot, results }: Proposer): void {
    for (const [seq, result] of results) this.#hash.subtract(this.#hashOf(proposer, boot, seq, result))
  }

  #hashOf(proposer: string, boot: string, seq: number, result: Result) {
    return hashInto(this.#one, [proposer, boot, seq, result])
  }
}
