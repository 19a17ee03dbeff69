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

const nanosPerMilli = 1_000_000

/** The API's durations are nanoseconds; ours are milliseconds. */
export const nanosToMs = (nanos: number): number => nanos / nanosPerMilli
