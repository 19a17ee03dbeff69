/** Certificates by ACME, at `leader/acme/main`. */
import { Effect } from "effect"
import { decide, start, summary } from "#actors/acme/decide.ts"
import type { AcmeAction, AcmeMessage } from "#actors/acme/protocol.ts"
import { AcmeServer } from "#actors/drivers/acme.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"

export const acme = actor({
  kind: "acme",
  start,
  decide,
  // It has a certificate's key.
  secrets: (message: AcmeMessage) => message._tag === "Ordered",
  perform: Effect.fnUntraced(function* (action: AcmeAction, self: Address) {
    if (action._tag === "Propose") return yield* carryOut(action, self)
    const { host, account } = action
    const server = yield* AcmeServer
    const ordered = yield* server.order(account, host).pipe(
      Effect.tap(() => Effect.logInfo(`${host} has a new certificate of ${account.directory}`)),
      Effect.catch(({ message }) =>
        Effect.as(Effect.logWarning(`No certificate for ${host}: ${message}`), { problem: message })
      )
    )
    return { _tag: "Ordered", host, ordered } satisfies AcmeMessage
  }),
  summary
})
