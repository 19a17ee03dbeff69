/** What parts of a manager hear of its ledger: that something of theirs has changed. */
import { type Duration, Effect, Queue, type Scope } from "effect"
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

/** Does `act` at each of the news, for ever. Where it fails it says so and is tried `again`: what changed is no news any more. */
export const atNews = (
  news: Queue.Queue<"look">,
  act: Effect.Effect<void, { readonly message: string }>,
  again: Duration.Input = "5 seconds"
): Effect.Effect<never> => {
  const later = Effect.delay(
    Effect.sync(() => Queue.offerUnsafe(news, "look")),
    again
  )
  return Queue.take(news).pipe(
    Effect.andThen(act),
    Effect.catch(({ message }) => Effect.andThen(Effect.logError(message), later)),
    Effect.forever
  )
}
