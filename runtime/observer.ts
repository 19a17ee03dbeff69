/**
 * What may look on while an actor decides: the flight recorder does. Without one, a decision pays a check.
 *
 * `deciding` comes before the decision, `decided` or `crashed` after it; an observer only notes, and never throws.
 */
import type { Cell } from "#runtime/cell.ts"
import type { Letter } from "#runtime/mailbox.ts"

export interface DecisionObserver {
  /** A life begins: `start` is about to be called. */
  readonly starting: (cell: Cell, props: unknown, now: number) => void
  /** `state` is what the decision is about to be given. */
  readonly deciding: (cell: Cell, letter: Letter, now: number, state: unknown) => void
  /** What `start` or `decide` came to. */
  readonly decided: (cell: Cell, state: unknown, actions: ReadonlyArray<unknown>) => void
  /** A life ended by an error, in a decision or between two. */
  readonly crashed: (cell: Cell, error: unknown) => void
}
