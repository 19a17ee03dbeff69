/** What parts of a manager hear of its ledger: that something of theirs has changed. */
import { Effect, Queue, type Scope } from "effect"
import { following } from "#actors/ledger/following.ts"
import type { Change } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"

/** Has one word in it whenever there is something to look at: at first, and after each change that `isNews`. */
export const newsOf = Effect.fnUntraced(function* (
  ledger: LedgerService,
  isNews: (change: Change) => boolean
): Effect.fn.Return<Queue.Queue<"look">, never, Scope.Scope> {
  const looks = yield* Queue.sliding<"look">(1)
  const look = (): void => void Queue.offerUnsafe(looks, "look")
  yield* following(ledger, ({ changes }) => {
    if (changes.some(isNews)) look()
  })
  look()
  return looks
})
