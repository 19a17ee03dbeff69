import { type Duration, Effect } from "effect"
import type { LedgerService } from "#actors/ledger/service.ts"

/** Completes when all that was acknowledged before is known here. There must be a leader for that; it is asked again until there is. */
export const caughtUp = (
  { readIndex }: Pick<LedgerService, "readIndex">,
  again: Duration.Input = "1 second"
): Effect.Effect<void> =>
  readIndex.pipe(
    Effect.tapError(() => Effect.sleep(again)),
    Effect.eventually,
    Effect.asVoid
  )
