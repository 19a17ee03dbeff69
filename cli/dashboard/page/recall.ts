/** What is known of a service's scaling over time: the changes that its autoscaler remembers, and what was seen since. */
import type { Decision, Scaled } from "#cli/print/autoscale.ts"

export interface Sample {
  /** Seconds since the epoch. */
  readonly at: number
  /** Asked for from then on. */
  readonly replicas: number
  readonly running: number
  /** By target, what was measured; absent where nothing was known. */
  readonly figures: Readonly<Record<string, number>>
  /** By target, how many tasks it wanted. */
  readonly wants: Readonly<Record<string, number>>
}

/** At one look each 2 seconds: half an hour. */
const kept = 900

const sampleOf = ({ At, To, Running, Votes }: Decision): Sample => {
  const figures: Record<string, number> = {}
  const wants: Record<string, number> = {}
  for (const { Target, Recent, Mean, Wants } of Votes) {
    const figure = Recent ?? Mean
    if (figure !== undefined) figures[Target] = figure
    if (Wants !== undefined) wants[Target] = Wants
  }
  return { at: Date.parse(At) / 1000, replicas: To, running: Running, figures, wants }
}

/** `seen` with what is said now, in the order of time, each moment once. */
export function recall(
  seen: ReadonlyArray<Sample>,
  { Changes, Now }: Pick<Scaled, "Changes" | "Now">
): ReadonlyArray<Sample> {
  const moments = new Map(seen.map((sample) => [sample.at, sample]))
  for (const decision of [...Changes, ...(Now === undefined ? [] : [Now])]) {
    const sample = sampleOf(decision)
    moments.set(sample.at, sample)
  }
  return [...moments.values()].sort((a, b) => a.at - b.at).slice(-kept)
}
