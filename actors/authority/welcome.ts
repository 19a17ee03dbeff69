/** What a manager does with a join request: judge it, make the machine a node of the cluster, say what makes it one. */
import { Effect } from "effect"
import { admit } from "#actors/authority/admit.ts"
import { shortestMs, usualExpiryMs } from "#actors/authority/certify.ts"
import { isSameToken } from "#actors/authority/join-token.ts"
import { issueMembership } from "#actors/authority/membership.ts"
import { joinAddress, peersOf } from "#actors/authority/peers.ts"
import type { JoinRequest, Membership, Role } from "#actors/authority/protocol.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { noLeader, type Refusal, Refused, refuse } from "#actors/model/errors.ts"
import type { Cluster, Node } from "#actors/model/objects.ts"
import type { ExternalCA } from "#actors/model/spec.ts"
import { nanosToMs } from "#actors/model/time.ts"
import type { Roots } from "#actors/model/trust.ts"
import type { Fresh } from "#runtime/ids.ts"

export interface WelcomeOptions {
  readonly ledger: LedgerService
  readonly fresh: Fresh
  /** Milliseconds since the epoch. */
  readonly clock: () => number
}

/** The cluster with its roots, or why nobody can be let in. */
export function trustOf(
  reader: LedgerReader
): { readonly cluster: Cluster; readonly roots: Roots } | Refusal {
  const cluster = reader.cluster()
  if (cluster?.Roots === undefined)
    return refuse("unavailable", "The cluster has no certificate authority yet.")
  return { cluster, roots: cluster.Roots }
}

const refused = (refusal: Refusal) => Effect.fail(Refused.of(refusal))

export const welcome = ({ ledger, fresh, clock }: WelcomeOptions) =>
  Effect.fn("authority.welcome")(function* (request: JoinRequest): Effect.fn.Return<Membership, Refused> {
    // A token that was rotated away must not open the door of a manager that has not heard of it.
    yield* ledger.readIndex.pipe(Effect.catch(() => refused(noLeader)))
    const trust = trustOf(ledger.read)
    if ("code" in trust) return yield* refused(trust)
    const { cluster, roots } = trust
    const admission = admit({ tokens: cluster.JoinTokens, isSame: isSameToken }, request)
    if ("code" in admission) return yield* refused(admission)

    const { role } = admission
    const member = { nodeId: fresh.id(), clusterId: cluster.ID, role, addresses: [request.address] }
    const raftId = role === "manager" ? fresh.id() : undefined
    const membership = yield* issueMembership(roots, {
      member,
      ...(raftId !== undefined && { raftId }),
      ...(cluster.Incarnation !== undefined && { incarnation: cluster.Incarnation }),
      csr: request.csr,
      managers: peersOf(ledger.read),
      now: clock(),
      expiryMs: expiryMs(cluster),
      external: externalOf(cluster)
    }).pipe(Effect.catch((error) => refused(refuse("invalidArgument", error.message))))
    const node = newcomer(member.nodeId, role, raftId, request)
    const outcome = yield* ledger.propose(
      { type: "node.register", v: 1, node },
      { who: `${role} join token`, why: `${request.name} asked to join from ${request.address}` }
    )
    switch (outcome._tag) {
      case "Applied":
        return membership
      case "Refused":
        return yield* refused(outcome.refusal)
      default:
        // Should it have been written all the same, a node without a machine stays, which people can remove.
        return yield* refused(refuse("unavailable", "The swarm did not answer in time: try again."))
    }
  })

/** How long certificates are good, in milliseconds; as usual where what is asked for is too short to renew in. */
export function expiryMs({ Spec }: Pick<Cluster, "Spec">): number {
  const wanted = nanosToMs(Spec.CAConfig?.NodeCertExpiry ?? 0)
  return wanted < shortestMs ? usualExpiryMs : wanted
}

export const externalOf = ({ Spec }: Pick<Cluster, "Spec">): ReadonlyArray<ExternalCA> =>
  Spec.CAConfig?.ExternalCAs ?? []

type NewNode = Omit<Node, "Version" | "CreatedAt" | "UpdatedAt">

function newcomer(id: string, role: Role, raftId: string | undefined, request: JoinRequest): NewNode {
  const { address, ports, keys, availability } = request
  return {
    ID: id,
    Spec: { Role: role, Availability: availability, Labels: {} },
    Status: { State: "unknown", Addr: address },
    Keys: keys,
    ...(raftId !== undefined && {
      ManagerStatus: {
        Reachability: "unknown",
        Addr: joinAddress(address, ports),
        Ports: ports,
        RaftId: raftId
      }
    })
  }
}
