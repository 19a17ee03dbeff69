/** A node's own certificate: `<node>/certificate/main`. */
import { Effect } from "effect"
import { decide, start, summarize } from "#actors/authority/certificate/decide.ts"
import type { CertificateAction, CertificateMessage } from "#actors/authority/certificate/protocol.ts"
import { factsOf, renewCertificate, trustRoot } from "#actors/authority/certificate/renewal.ts"
import { Credentials } from "#actors/authority/credentials.ts"
import { actor } from "#runtime/actor.ts"
import type { System } from "#runtime/system.ts"

const perform = Effect.fn("certificate.perform")(function* (
  action: CertificateAction
): Effect.fn.Return<CertificateMessage, never, Credentials | System> {
  const { held } = yield* Credentials
  const work =
    action._tag === "Renew"
      ? renewCertificate(action.addr)
      : action._tag === "Trust"
        ? trustRoot(action.root)
        : Effect.void
  return yield* work.pipe(
    Effect.andThen(Effect.suspend(() => factsOf(held()))),
    Effect.map((facts): CertificateMessage => ({ _tag: "Holds", facts })),
    Effect.catch(({ message }) =>
      Effect.as(Effect.logWarning(`This node's certificate is not renewed: ${message}`), {
        _tag: "NotRenewed" as const,
        reason: message
      })
    )
  )
})

export const certificate = actor({ kind: "certificate", start, decide, perform, summary: summarize })
