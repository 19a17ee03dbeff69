/** How long to wait before the next try; decisions and drivers of a node share one rule. */
import type { Fresh } from "#runtime/ids.ts"

export interface Patience {
  readonly firstMs: number
  readonly mostMs: number
}

/**
 * Milliseconds before try number `attempt` (from 1): doubled each time up to `mostMs`, of which a random half
 * is taken off, so that many that failed together do not come back together.
 */
export function backOff(attempt: number, patience: Patience, fresh: Fresh): number {
  const full = Math.min(patience.mostMs, patience.firstMs * 2 ** Math.min(attempt - 1, 30))
  return Math.ceil(full * (0.5 + fresh.fraction() / 2))
}
