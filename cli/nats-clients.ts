/** Whoever the cluster lets in over NATS is known to this manager's nats-server, now and at the next start. */
import { type Duration, Effect } from "effect"
import { caughtUp } from "#actors/ledger/following.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { clientsIn, isClient } from "#actors/nats/clients.ts"
import { keepClients } from "#actors/nats/creds.ts"
import { atNews, newsOf } from "#cli/ledger-news.ts"

/** A ledger that is behind shuts nobody out, and lets nobody in who was shut out since. */
export const followClients = Effect.fnUntraced(function* (
  dataDir: string,
  ledger: LedgerService,
  again: Duration.Input = "5 seconds"
) {
  const news = yield* newsOf(ledger, ({ kind, before, after }) => {
    const config = after ?? before
    return kind === "config" && config !== undefined && isClient(config as Parameters<typeof isClient>[0])
  })
  const keep = Effect.suspend(() => {
    const { clients, problems } = clientsIn(ledger.read.all("config"))
    const said = problems.length > 0 ? Effect.logWarning(problems.join("\n")) : Effect.void
    return Effect.andThen(said, keepClients(dataDir, clients))
  })
  yield* caughtUp(ledger).pipe(Effect.andThen(atNews(news, keep, again)), Effect.forkScoped)
})
