/**
 * What this node shows to others, as it is now: one place that holds it, writes it down, and tells whoever uses it.
 *
 * Another role is another life of the node: what belongs to the next life is written down last, and ends this one.
 */
import { Context, Deferred, Effect, PubSub, type Scope } from "effect"
import type { Membership } from "#actors/authority/protocol.ts"
import { type Held, type TrustStoreError, writeHeld } from "#actors/authority/store.ts"
import type { Roots } from "#actors/model/trust.ts"

export interface CredentialsService {
  readonly dataDir: string
  readonly held: () => Held
  /** Durable when it completes, and told to who follows. Changes nothing once the next life's are written. */
  readonly change: (by: (held: Held) => Held) => Effect.Effect<void, TrustStoreError>
  /** Writes down what the next life begins with. */
  readonly supersede: (next: Held) => Effect.Effect<void, TrustStoreError>
  /** Completes when the next life's are written down. */
  readonly superseded: Effect.Effect<void>
  /** Uses what this node holds whenever that has changed, until the scope closes. */
  readonly follow: (use: (held: Held) => Effect.Effect<void>) => Effect.Effect<void, never, Scope.Scope>
}

export class Credentials extends Context.Service<Credentials, CredentialsService>()(
  "troupe/actors/authority/Credentials"
) {}

/** Servers show each other this now; a password that is older than the one it holds is not news. */
export const joinedBy =
  ({ routePassword, routes }: Roots) =>
  (held: Held): Held => {
    const number = routes?.number ?? 1
    if (number < (held.membership.routes ?? 1)) return held
    return { ...held, membership: { ...held.membership, routePassword, routes: number } }
  }

/** These are the managers now. */
export const knowing =
  (managers: Membership["managers"]) =>
  (held: Held): Held => ({ ...held, membership: { ...held.membership, managers } })

export const openCredentials = Effect.fnUntraced(function* (
  dataDir: string,
  first: Held
): Effect.fn.Return<CredentialsService> {
  const news = yield* PubSub.sliding<"changed">(1)
  const superseded = yield* Deferred.make<void>()
  let held = first
  let isOver = false
  return {
    dataDir,
    held: () => held,
    change: (by) =>
      Effect.suspend(() => {
        if (isOver) return Effect.void
        const next = by(held)
        return writeHeld(dataDir, next).pipe(
          Effect.tap(() => {
            held = next
            return PubSub.publish(news, "changed")
          }),
          Effect.asVoid
        )
      }),
    supersede: (next) =>
      Effect.suspend(() => {
        isOver = true
        const written = writeHeld(dataDir, next).pipe(
          // This life goes on.
          Effect.tapError(() =>
            Effect.sync(() => {
              isOver = false
            })
          )
        )
        return Effect.andThen(written, Deferred.succeed(superseded, undefined))
      }),
    superseded: Deferred.await(superseded),
    follow: Effect.fnUntraced(function* (use) {
      const changes = yield* PubSub.subscribe(news)
      yield* PubSub.take(changes).pipe(
        Effect.andThen(Effect.suspend(() => use(held))),
        Effect.forever,
        Effect.forkScoped
      )
    })
  }
})
