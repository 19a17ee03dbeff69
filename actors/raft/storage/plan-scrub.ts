/**
 * How fast a log is read over in the background: evenly, so that everything is seen once a period, in small steps,
 * and never faster than a bound, so that nobody notices.
 */

/** `periodMs`: everything is read once in so long, if `bytesPerSecond` allows it. */
export interface Pace {
  readonly periodMs: number
  readonly bytesPerSecond: number
  readonly stepBytes: number
}

/** A day, as long as latent damage may stay unseen; a step delays a write by a millisecond or so. */
export const usualPace: Pace = {
  periodMs: 24 * 3_600_000,
  bytesPerSecond: 4 * 1024 * 1024,
  stepBytes: 256 * 1024
}

/** Where a round stands. `elapsedMs` counts from its beginning. */
export interface Round {
  readonly totalBytes: number
  readonly doneBytes: number
  readonly elapsedMs: number
}

// The second half is slack: what is written meanwhile, and a machine that was asleep.
const shareOfPeriod = 0.5

/** How long to wait before the next step; a round that is done waits for the next period. */
export function planScrub({ totalBytes, doneBytes, elapsedMs }: Round, pace: Pace): number {
  if (doneBytes >= totalBytes) return Math.max(0, pace.periodMs - elapsedMs)
  const even = (pace.periodMs * shareOfPeriod * doneBytes) / totalBytes
  const fastest = (1_000 * doneBytes) / pace.bytesPerSecond
  // Behind time it catches up, step by step, no faster than the bound.
  const due = Math.max(even, fastest) - elapsedMs
  return Math.max(due, (1_000 * Math.min(pace.stepBytes, totalBytes)) / pace.bytesPerSecond)
}
