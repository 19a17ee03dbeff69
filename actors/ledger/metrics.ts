/** What a manager tells monitoring about its ledger. */
import type { LedgerService } from "#actors/ledger/service.ts"
import { gauge } from "#runtime/metrics.ts"
import type { Family } from "#runtime/openmetrics.ts"

/** Managers that show the same entry with different digests have diverged. */
export const ledgerMetrics = (ledger: Pick<LedgerService, "read" | "marks">): ReadonlyArray<Family> => [
  gauge("troupe_ledger_applied", "The last entry of the log that this manager has applied.", [
    { labels: {}, value: ledger.read.index }
  ]),
  gauge(
    "troupe_ledger_digest",
    "Always 1: the digest of this manager's state at the latest entries at which all managers note theirs.",
    ledger.marks().map(({ index, digest }) => ({ labels: { index: String(index), digest }, value: 1 }))
  )
]
