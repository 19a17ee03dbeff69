/** A membership, made: the certificate of one node, signed by the cluster's root, and what else it needs. */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { certify, type Member } from "#actors/authority/certify.ts"
import type { Membership, Peer } from "#actors/authority/protocol.ts"
import { type CertificateError, chained, newRoot, sign } from "#actors/authority/x509.ts"
import { signOutside } from "#actors/drivers/external-authority.ts"
import type { ExternalCA } from "#actors/model/spec.ts"
import { type Roots, signerOf } from "#actors/model/trust.ts"
import type { Incarnation } from "#actors/raft/incarnation.ts"

/** What is asked for and granted. `csr` is PEM. */
export interface Grant {
  readonly member: Member
  /** A manager's name in the Raft group. */
  readonly raftId?: string
  /** Of the Raft group, where it is not the first. */
  readonly incarnation?: Incarnation
  readonly csr: string
  readonly managers: ReadonlyArray<Peer>
  /** Milliseconds since the epoch, and how long the certificate is good. */
  readonly now: number
  readonly expiryMs: number
  /** Who signs instead of us, where anybody does. */
  readonly external?: ReadonlyArray<ExternalCA>
}

/** What managers' nats-servers show each other. */
export const newRoutePassword = (): string => randomBytes(24).toString("base64url")

/** New roots for a new cluster. */
export const newRoots = Effect.fn("authority.newRoots")(function* (
  now: number
): Effect.fn.Return<Roots, CertificateError> {
  const { pem, key } = yield* newRoot(now)
  return { ca: { certificate: pem, key }, routePassword: newRoutePassword() }
})

export const issueMembership = Effect.fn("authority.issueMembership")(function* (
  roots: Roots,
  grant: Grant
): Effect.fn.Return<Membership, CertificateError> {
  const { nodeId, clusterId, role } = grant.member
  const fields = certify(grant.member, grant.now, grant.expiryMs)
  const signer = signerOf(roots)
  const [first, ...others] = grant.external ?? []
  const { csr } = grant
  return {
    nodeId,
    clusterId,
    role,
    ...(grant.raftId !== undefined && { raftId: grant.raftId }),
    ...(grant.incarnation !== undefined && { incarnation: grant.incarnation }),
    certificate: yield* first === undefined
      ? sign(signer, csr, fields)
      : Effect.map(signOutside([first, ...others], { csr, fields, root: signer.certificate }), (pem) =>
          chained(pem, signer)
        ),
    root: roots.ca.certificate,
    ...(role === "manager" && {
      routePassword: roots.routePassword,
      ...(roots.routes && { routes: roots.routes.number })
    }),
    managers: grant.managers
  }
})
