/** Figures of requests: over all entrances, and the time within which most are answered. */
import { latencyBounds, latencyBuckets, requestColumns } from "#actors/meter/figures.ts"

const place = (name: string): number => (requestColumns as ReadonlyArray<string>).indexOf(name)
const [rpsAt = 0, inflightAt = 0, errorsAt = 0, tookAt = 0] = [
  "rps",
  "inflight",
  "5xx",
  `le${latencyBounds[0]}`
].map(place)

/** Place by place, what all rows have there; one that is shorter has nothing more, and NaN counts as nothing. */
export function addUp(rows: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> {
  const width = Math.max(0, ...rows.map(({ length }) => length))
  return Array.from({ length: width }, (_, at) => rows.reduce((sum, row) => sum + (row[at] || 0), 0))
}

/** Of rows of `requestColumns` the figures of `requestMetrics`; a row may be empty, and NaN is what nobody knows. */
export function sumRequests(rows: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> {
  const known = rows.filter((row) => row.length > 0)
  if (known.length === 0) return [Number.NaN, Number.NaN, Number.NaN, Number.NaN]
  const sum = addUp(known)
  const took = sum.slice(tookAt, tookAt + latencyBuckets.length)
  return [sum[rpsAt] ?? 0, sum[inflightAt] ?? 0, quantileOf(took, 0.95), sum[errorsAt] ?? 0]
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
