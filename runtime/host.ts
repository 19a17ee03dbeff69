/** Time and turn-taking, as the runtime needs them; the machine's own in production, imitated in simulation. */

export interface Host {
  /** Milliseconds since the epoch. In production they never go back while a process lives. */
  now(): number
  /** Milliseconds that never jump, from an arbitrary start. */
  monotonic(): number
  /** A number from 0 up to, but not including, 1; for back-off jitter and seeds, never for secrets. */
  random(): number
  /** Runs `turn` soon, after what runs now has returned. */
  defer(turn: () => void): void
  /** Runs `fire` once after `ms`; what it returns takes it back. */
  after(ms: number, fire: () => void): () => void
}

/** Runs `turn` now; what it throws is thrown in a turn of its own, so that nothing that follows depends on who is told. */
export function runApart(host: Pick<Host, "defer">, turn: () => void): void {
  try {
    turn()
  } catch (thrown) {
    host.defer(() => {
      throw thrown
    })
  }
}
