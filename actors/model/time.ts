/**
 * Times as the Docker API writes them, and as arithmetic wants them.
 *
 * The one place in decisions that names `Date`: both functions only convert what they are given.
 */

/** Milliseconds since the epoch as RFC 3339 in UTC, `2026-11-22T21:01:28.912Z`. */
export const toIso = (ms: number): string => new Date(ms).toISOString()

/** RFC 3339 as milliseconds since the epoch; 0 for what is absent or unreadable. */
export function toMs(iso: string | undefined): number {
  if (iso === undefined) return 0
  const ms = Date.parse(iso)
  return Number.isNaN(ms) ? 0 : ms
}

/**
 * What is left at `now` of a wait of `forMs` that began at `since`; 0 when it is over. So it is where more than twice of
 * it would be left: then the clock of whoever wrote `since` down, another leader or a node, was ahead.
 */
export function leftOf(forMs: number, since: number, now: number): number {
  const left = since + forMs - now
  return left > 0 && left <= 2 * forMs ? left : 0
}

const nanosPerMilli = 1_000_000

/** The API's durations are nanoseconds; ours are milliseconds. */
export const nanosToMs = (nanos: number): number => nanos / nanosPerMilli
