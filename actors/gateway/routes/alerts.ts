/** `GET /alerts`: what is wrong with the cluster now, by its leader's word. Not the Engine's API. */
import { Effect } from "effect"
import { type AlertsMessage, FiredAnswer } from "#actors/alerts/protocol.ts"
import { type Gateway, ledgerOf } from "#actors/gateway/gateway.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { type Answer, ok, refused, toResponse } from "#actors/gateway/response.ts"
import { noLeader, Refused } from "#actors/model/errors.ts"
import { toIso } from "#actors/model/time.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

export interface AlertRoutesOptions {
  readonly gateway: Gateway
  readonly system: Pick<SystemService, "ask">
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

const withinMs = 1_000
const question: AlertsMessage = { _tag: "Tell" }

export const alertRoutes = ({ gateway, system, headers }: AlertRoutesOptions): RouteSet => ({
  owns: (method, path) => method === "GET" && path === "/alerts",
  fetch: () => {
    const answer: Effect.Effect<Answer> = ledgerOf(gateway).pipe(
      Effect.andThen(
        system
          .ask(address("leader", "alerts", "main"), question, withinMs, FiredAnswer)
          .pipe(Effect.catch(() => Effect.fail(Refused.of(noLeader))))
      ),
      Effect.map(({ alerts }) =>
        ok(
          alerts.map(({ condition, kind, id, name, since, says }) => ({
            Condition: condition,
            Object: { Kind: kind, ID: id, Name: name },
            Since: toIso(since),
            Says: says
          }))
        )
      ),
      Effect.catch(({ refusal }) => Effect.succeed(refused(refusal)))
    )
    return Effect.runPromise(Effect.map(answer, (found) => toResponse(found, headers())))
  }
})
