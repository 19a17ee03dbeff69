/** A membership, made: the certificate and the NATS passes of one node, signed by the cluster's roots. */
import { Effect } from "effect"
import { certify, type Member } from "#actors/authority/certify.ts"
import type { Membership, NatsPasses, Peer } from "#actors/authority/protocol.ts"
import { type CertificateError, newRequest, newRoot, sign } from "#actors/authority/x509.ts"
import type { NatsKeys, Roots } from "#actors/model/trust.ts"
import {
  issuePass,
  newNatsRoots,
  newUserKey,
  type PassError,
  publicKeyOf,
  type Revocations,
  type Rights,
  serverTrust
} from "#actors/nats/passes.ts"
import { apiRights, managerRights, raftRights, watcherRights } from "#actors/nats/rights.ts"

/** What is asked for and granted. `csr` is PEM; `keys` are public nkeys. */
export interface Grant {
  readonly member: Member
  /** A manager's name in the Raft group. */
  readonly raftId?: string
  readonly csr: string
  readonly keys: NatsKeys
  readonly managers: ReadonlyArray<Peer>
  readonly revocations: Revocations
  /** Milliseconds since the epoch, and how long certificate and passes are good. */
  readonly now: number
  readonly expiryMs: number
}

/** Where a node's connection receives its answers; no other connection may subscribe there. */
export const inboxOf = {
  daemon: (nodeId: string): string => `_INBOX.${nodeId}`,
  api: (nodeId: string): string => `_INBOX.api-${nodeId}`,
  raft: (nodeId: string): string => `_INBOX.raft-${nodeId}`,
  system: (nodeId: string): string => `_INBOX.system-${nodeId}`
} as const satisfies Record<keyof NatsKeys, (nodeId: string) => string>

/** New roots for a new cluster. */
export const newRoots = Effect.fn("authority.newRoots")(function* (
  now: number
): Effect.fn.Return<Roots, CertificateError> {
  const { pem, key } = yield* newRoot(now)
  return { ca: { certificate: pem, key }, ...newNatsRoots() }
})

export const issueMembership = Effect.fn("authority.issueMembership")(function* (
  roots: Roots,
  grant: Grant
): Effect.fn.Return<Membership, CertificateError | PassError> {
  const { nodeId, clusterId, role } = grant.member
  const fields = certify(grant.member, grant.now, grant.expiryMs)
  return {
    nodeId,
    clusterId,
    role,
    ...(grant.raftId !== undefined && { raftId: grant.raftId }),
    certificate: yield* sign(roots.ca, grant.csr, fields),
    root: roots.ca.certificate,
    passes: yield* issuePasses(roots, grant, fields.notAfter),
    managers: grant.managers
  }
})

const issuePasses = Effect.fnUntraced(function* (
  roots: Roots,
  { member, raftId, keys, revocations }: Grant,
  expires: number
): Effect.fn.Return<NatsPasses, PassError> {
  const { nodeId, clusterId } = member
  const pass = (account: string, which: keyof NatsKeys, rights: Rights) =>
    issuePass(account, `${which} ${nodeId}`, keys[which], rights, expires)
  return {
    servers: yield* serverTrust(roots, revocations),
    users: {
      daemon: yield* pass(roots.account, "daemon", managerRights(clusterId, inboxOf.daemon(nodeId))),
      api: yield* pass(roots.account, "api", apiRights(inboxOf.api(nodeId))),
      raft: yield* pass(roots.account, "raft", raftRights(clusterId, raftId ?? nodeId)),
      system: yield* pass(roots.system, "system", watcherRights(inboxOf.system(nodeId)))
    }
  }
})

/** The private half of what a node asks with: secrets that never leave it. */
export interface OwnKeys {
  /** PEM. */
  readonly key: string
  readonly seeds: NatsKeys
}

/** New keys, and the public half: what goes into a `JoinRequest` or a `Grant`. */
export const newOwnKeys = Effect.fn("authority.newOwnKeys")(function* (): Effect.fn.Return<
  { readonly own: OwnKeys; readonly csr: string; readonly keys: NatsKeys },
  CertificateError
> {
  const { pem, key } = yield* newRequest
  const seeds = {
    daemon: newUserKey().seed,
    api: newUserKey().seed,
    raft: newUserKey().seed,
    system: newUserKey().seed
  }
  return { own: { key, seeds }, csr: pem, keys: publicKeysOf(seeds) }
})

export const publicKeysOf = (seeds: NatsKeys): NatsKeys => ({
  daemon: publicKeyOf(seeds.daemon),
  api: publicKeyOf(seeds.api),
  raft: publicKeyOf(seeds.raft),
  system: publicKeyOf(seeds.system)
})
