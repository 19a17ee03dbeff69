/** What a change of the cluster's settings means for its root: nothing, another one, or the end of a change under way. */
import { Effect } from "effect"
import { type CertificateError, checkAuthority, crossSign, newRoot } from "#actors/authority/x509.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { Refused, refuse, rpc } from "#actors/model/errors.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"
import { type Authority, signerOf } from "#actors/model/trust.ts"

/** `rotation` is the root that shall follow; without one, the present root stays and nothing follows. */
export interface RootChange {
  readonly rotation?: Authority
}

type Wanted = NonNullable<SwarmSpec["CAConfig"]>

/** Whoever has slept through one change of the root follows the next one, too; none can have slept through more. */
const crossSignedKept = 2

/** As the digest in a join token counts it: without space around it, and with a line end. */
const normal = (pem: string): string => (pem.trim() === "" ? "" : `${pem.trim()}\n`)

const refused = (message: string) => Refused.of(rpc("invalidArgument", message))

/** The change that `asked` is; `undefined` where it is none. `now` is milliseconds since the epoch. */
export const planRootChange = Effect.fn("authority.planRootChange")(function* (
  cluster: Cluster,
  asked: Wanted,
  now: number
): Effect.fn.Return<RootChange | undefined, Refused> {
  const certificate = normal(asked.SigningCACert ?? "")
  const key = normal(asked.SigningCAKey ?? "")
  if (key !== "" && certificate === "") {
    return yield* refused("if a signing CA key is provided, the signing CA cert must also be provided")
  }
  const present = cluster.Spec.CAConfig ?? {}
  const isForced = asked.ForceRotate !== undefined && asked.ForceRotate !== (present.ForceRotate ?? 0)
  if (certificate === "" && !isForced) return undefined
  const { Roots: roots } = cluster
  if (roots === undefined)
    return yield* Refused.of(refuse("unavailable", "The cluster has no certificate authority yet."))
  if (certificate !== "" && key === "") {
    if (certificate === signerOf(roots).certificate) return undefined
    return yield* refused(
      "CAConfig.SigningCACert: expected the key of that certificate in CAConfig.SigningCAKey: no other root could ever follow one whose key no manager has"
    )
  }
  if (cluster.FeatureLevel < levelOf["cluster.rotate"]) {
    return yield* Refused.of(
      refuse(
        "failedPrecondition",
        "the root certificate cannot be rotated before all managers run this release"
      )
    )
  }
  const next = certificate === "" ? yield* made(now) : yield* brought({ certificate, key }, now)
  if (next.certificate === roots.ca.certificate) return roots.rotation === undefined ? undefined : {}
  if (next.certificate === roots.rotation?.certificate) return undefined
  const bridge = yield* internal(crossSign(next.certificate, roots.ca))
  const crossSigned = [bridge, ...(roots.ca.crossSigned ?? [])].slice(0, crossSignedKept)
  return { rotation: { ...next, crossSigned } }
})

const internal = <A>(effect: Effect.Effect<A, CertificateError>): Effect.Effect<A, Refused> =>
  Effect.mapError(effect, ({ message }) => Refused.of(refuse("unavailable", message)))

const made = (now: number): Effect.Effect<Authority, Refused> =>
  internal(Effect.map(newRoot(now), ({ pem, key }) => ({ certificate: pem, key })))

const brought = (authority: Authority, now: number): Effect.Effect<Authority, Refused> =>
  checkAuthority(authority, now).pipe(
    Effect.as(authority),
    Effect.mapError(({ message }) => refused(message))
  )
