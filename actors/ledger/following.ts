/** A ledger that is followed for as long as a scope is open, and that may be behind at first. */
import { type Duration, Effect, type Scope } from "effect"
import type { ChangeSet } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"

/** `listen` hears every change from now on until the scope closes; see `LedgerService.follow`. */
export const following = (
  ledger: Pick<LedgerService, "follow">,
  listen: (changes: ChangeSet) => void
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => ledger.follow(listen)),
      (followed) => Effect.sync(() => followed.unsubscribe())
    )
  )

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
