/** Whoever the cluster lets in over NATS is known to this manager's nats-server, now and at the next start. */
import { Effect, Queue } from "effect"
import { caughtUp } from "#actors/ledger/following.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { clientsIn, isClient } from "#actors/nats/clients.ts"
import { keepClients } from "#actors/nats/creds.ts"
import { newsOf } from "#cli/ledger-news.ts"

/** A ledger that is behind shuts nobody out, and lets nobody in who was shut out since. */
export const followClients = Effect.fnUntraced(function* (dataDir: string, ledger: LedgerService) {
  const news = yield* newsOf(ledger, ({ kind, before, after }) => {
    const config = after ?? before
    return kind === "config" && config !== undefined && isClient(config as Parameters<typeof isClient>[0])
  })
  const follow = Effect.gen(function* () {
    yield* Queue.take(news)
    const { clients, problems } = clientsIn(ledger.read.all("config"))
    if (problems.length > 0) yield* Effect.logWarning(problems.join("\n"))
    yield* keepClients(dataDir, clients)
  }).pipe(
    Effect.catch((error) => Effect.logError(error.message)),
    Effect.forever
  )
  yield* caughtUp(ledger).pipe(Effect.andThen(follow), Effect.forkScoped)
})
