/**
 * How an actor that decides from the ledger writes to it: one write under way at a time, and a look again after it.
 *
 * What changes while a write is under way is seen by the look that follows, so changes gather into batches by
 * themselves, and no decision is taken twice from the same state.
 */
import type { Command } from "#actors/ledger/commands.ts"
import type { WriteOutcome } from "#actors/ledger/service.ts"

/** Asks for `commands` to be written in order; the first that is not applied ends the row. */
export interface Propose {
  readonly _tag: "Propose"
  readonly commands: ReadonlyArray<Command>
  /** Why, for the log; the actor's address says who. */
  readonly why: string
}

/** How the last command that was tried ended. */
export interface Proposed {
  readonly _tag: "Proposed"
  readonly why: string
  readonly outcome: WriteOutcome
}

export const propose = (why: string, commands: ReadonlyArray<Command>): Propose => ({
  _tag: "Propose",
  commands,
  why
})

/** What an actor remembers of its own writes. */
export interface Writing {
  readonly pending: boolean
  /** Writes in a row that did not come through. */
  readonly misses: number
  /** Leadership is gone: nothing is decided any more, and the tree is about to stop. */
  readonly halted: boolean
}

export const idle: Writing = { pending: false, misses: 0, halted: false }
export const writing = (before: Writing): Writing => ({ ...before, pending: true })
export const mayWrite = (now: Writing): boolean => !now.pending && !now.halted

const firstPauseMs = 20
const longestPauseMs = 5_000

/** What an outcome means for the next look: `afterMs` is absent when there is none. */
export function settle(
  before: Writing,
  outcome: WriteOutcome
): { readonly writing: Writing; readonly afterMs?: number } {
  switch (outcome._tag) {
    case "Applied":
      return { writing: idle, afterMs: 0 }
    case "NotLeader":
      return { writing: { pending: false, misses: 0, halted: true } }
    case "Refused":
    case "Unknown": {
      // Refused once is a race that a fresh look settles; refused again and again must not spin.
      const misses = before.misses + 1
      const afterMs = misses === 1 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** (misses - 2))
      return { writing: { pending: false, misses, halted: false }, afterMs }
    }
  }
}
