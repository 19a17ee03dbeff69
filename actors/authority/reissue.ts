/** Another certificate for a node that is a member, in the role in which the ledger has it. */
import { Effect } from "effect"
import { issueMembership } from "#actors/authority/membership.ts"
import { peersOf, raftIdOf } from "#actors/authority/peers.ts"
import { type Membership, type RenewRequest, removedText } from "#actors/authority/protocol.ts"
import { expiryMs, externalOf, trustOf } from "#actors/authority/welcome.ts"
import { isSignatureOf, readCertificate } from "#actors/authority/x509.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { noLeader, Refused, refuse } from "#actors/model/errors.ts"
import { isSignedBySeed } from "#actors/nats/creds.ts"

export interface Reissue {
  readonly nodeId: string
  /** PEM; of it only the key is taken. */
  readonly csr: string
  /** Where the node is reached; as the ledger has it when absent. */
  readonly addr?: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

const stranger = (nodeId: string): Refused => Refused.of(refuse("forbidden", removedText(nodeId)))

/** Issues by what this manager's ledger says. */
export const reissue = Effect.fn("authority.reissue")(function* (
  reader: LedgerReader,
  { nodeId, csr, addr, now }: Reissue
): Effect.fn.Return<Membership, Refused> {
  const trust = trustOf(reader)
  if ("code" in trust) return yield* Refused.of(trust)
  const { cluster, roots } = trust
  const node = reader.get("node", nodeId)
  if (node === undefined) return yield* stranger(nodeId)
  const isManager = node.ManagerStatus !== undefined
  const address = addr ?? node.Status.Addr
  return yield* issueMembership(roots, {
    member: {
      nodeId,
      clusterId: cluster.ID,
      role: isManager ? "manager" : "worker",
      addresses: address === undefined ? [] : [address]
    },
    ...(isManager && { raftId: raftIdOf(node) }),
    ...(cluster.Incarnation !== undefined && { incarnation: cluster.Incarnation }),
    csr,
    managers: peersOf(reader),
    now,
    expiryMs: expiryMs(cluster),
    external: externalOf(cluster)
  }).pipe(Effect.catch(({ message }) => Effect.fail(Refused.of(refuse("invalidArgument", message)))))
})

/** What a manager does for a node that knocks at its join port with an old certificate, be it expired. */
export const reissueAtDoor = (ledger: LedgerService, clock: () => number) =>
  Effect.fn("authority.reissueAtDoor")(function* (
    request: RenewRequest
  ): Effect.fn.Return<Membership, Refused> {
    // A node that was removed must not be let in by a manager that has not heard of it.
    yield* ledger.readIndex.pipe(Effect.catch(() => Effect.fail(Refused.of(noLeader))))
    const nodeId = yield* provenBy(ledger.read, request)
    return yield* reissue(ledger.read, { nodeId, csr: request.csr, now: clock() })
  })

/** Whose request this is: the certificate is of this cluster, and the key and the nkey are the node's own. */
const provenBy = Effect.fnUntraced(function* (
  reader: LedgerReader,
  { certificate, csr, signature, nkeySignature }: RenewRequest
): Effect.fn.Return<string, Refused> {
  const trust = trustOf(reader)
  if ("code" in trust) return yield* Refused.of(trust)
  const { ca, rotation } = trust.roots
  const known = [ca, ...(rotation === undefined ? [] : [rotation])].map((root) =>
    readCertificate(certificate, root.certificate)
  )
  const member = yield* Effect.firstSuccessOf(known).pipe(
    Effect.catch(({ message }) => Effect.fail(Refused.of(refuse("forbidden", message))))
  )
  const keys = reader.get("node", member.nodeId)?.Keys
  if (member.clusterId !== trust.cluster.ID || keys === undefined) return yield* stranger(member.nodeId)
  if (!isSignatureOf(csr, signature, certificate) || !isSignedBySeed(csr, nkeySignature, keys.daemon)) {
    return yield* Refused.of(refuse("forbidden", `this is not signed by node ${member.nodeId}`))
  }
  return member.nodeId
})
