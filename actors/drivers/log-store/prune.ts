/** Which old output goes when there is too much of it, or when it is too old. */

export interface KeptSegment {
  readonly bytes: number
  /** When it was last written, milliseconds since the epoch. */
  readonly writtenAt: number
}

export interface KeptTask {
  readonly id: string
  /** Oldest first. */
  readonly segments: ReadonlyArray<KeptSegment>
}

export interface Bounds {
  readonly maxBytes: number
  readonly maxAgeMs: number
}

/**
 * How many of its oldest segments each task loses; tasks that lose none are left out.
 *
 * Beyond the size, whoever has most loses first: one task that talks much does not make the others forget.
 */
export function prune(
  tasks: ReadonlyArray<KeptTask>,
  { maxBytes, maxAgeMs }: Bounds,
  now: number
): ReadonlyMap<string, number> {
  const lost = new Map<string, number>()
  const sizes = new Map<string, number>()
  let total = 0
  for (const { id, segments } of tasks) {
    const firstKept = segments.findIndex(({ writtenAt }) => writtenAt >= now - maxAgeMs)
    const old = firstKept < 0 ? segments.length : firstKept
    if (old > 0) lost.set(id, old)
    const bytes = segments.slice(old).reduce((sum, segment) => sum + segment.bytes, 0)
    sizes.set(id, bytes)
    total += bytes
  }
  const byId = new Map(tasks.map((task) => [task.id, task]))
  while (total > maxBytes) {
    let largest: string | undefined
    for (const [id, bytes] of sizes) {
      if (bytes > 0 && (largest === undefined || bytes > (sizes.get(largest) ?? 0))) largest = id
    }
    if (largest === undefined) break
    const count = lost.get(largest) ?? 0
    const bytes = byId.get(largest)?.segments[count]?.bytes ?? 0
    lost.set(largest, count + 1)
    sizes.set(largest, (sizes.get(largest) ?? 0) - bytes)
    total -= bytes
  }
  return lost
}
