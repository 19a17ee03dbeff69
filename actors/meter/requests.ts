/** Figures of requests: over all entrances, and the time within which most are answered. */
import { latencyBounds, requestColumns } from "#actors/meter/figures.ts"

const place = (name: string): number => (requestColumns as ReadonlyArray<string>).indexOf(name)
const [rpsAt, inflightAt, errorsAt, tookAt] = ["rps", "inflight", "5xx", `le${latencyBounds[0]}`].map(place)

/** Of rows of `requestColumns` the figures of `requestMetrics`; a row may be empty, and NaN is what nobody knows. */
export function sumRequests(rows: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> {
  const known = rows.filter((row) => row.length > 0)
  if (known.length === 0) return [Number.NaN, Number.NaN, Number.NaN, Number.NaN]
  const sum = (at = 0): number => known.reduce((total, row) => total + (row[at] || 0), 0)
  const took = [...latencyBounds, undefined].map((_, at) => sum((tookAt ?? 0) + at))
  return [sum(rpsAt), sum(inflightAt), quantileOf(took, 0.95), sum(errorsAt)]
}

/**
 * The milliseconds within which that share of answers came, in proportion within its bucket; 0 where there were none.
 * What is beyond the last bound is as late as that.
 */
export function quantileOf(took: ReadonlyArray<number>, share: number): number {
  const all = took.reduce((sum, count) => sum + count, 0)
  if (all === 0) return 0
  let before = 0
  for (const [at, count] of took.entries()) {
    const [low, high] = [latencyBounds[at - 1] ?? 0, latencyBounds[at]]
    if (high === undefined) return low
    if (before + count >= share * all) return low + ((high - low) * (share * all - before)) / count
    before += count
  }
  return latencyBounds.at(-1) ?? 0
}
