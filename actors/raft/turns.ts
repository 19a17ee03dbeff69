/**
 * How a member is given its turns.
 *
 * `soon` runs something at the end of this turn, `later` in a turn of its own, `shortly` a few milliseconds on;
 * `monotonic` is milliseconds that never jump.
 */
export interface Turns {
  readonly soon: (turn: () => void) => void
  readonly later: (turn: () => void) => void
  readonly shortly: (turn: () => void) => void
  readonly monotonic: () => number
}
