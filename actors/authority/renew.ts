/** What the leader does for a node whose role has changed: a new certificate, and for a manager a name in the Raft group. */
import { Clock, Effect } from "effect"
import { issueMembership } from "#actors/authority/membership.ts"
import { joinAddress, peersOf } from "#actors/authority/peers.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import { expiryMs, externalOf, trustOf } from "#actors/authority/welcome.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { Refused, refuse } from "#actors/model/errors.ts"
import type { ManagerPorts } from "#actors/model/trust.ts"

/** `raftId` is there for who becomes a manager. */
export interface RenewalRequest {
  readonly nodeId: string
  readonly raftId?: string
  /** PEM. */
  readonly csr: string
  readonly addr: string
  readonly ports: ManagerPorts
}

/**
 * The membership of a node in its new role; a manager's place is in the ledger when it completes. It counts by the
 * machine's own clock: the runtime's goes on where that was set back, and others would not take the certificate yet.
 */
export const renew = Effect.fn("authority.renew")(function* (
  request: RenewalRequest
): Effect.fn.Return<Membership, Refused, Ledger> {
  const { nodeId, raftId, csr, addr } = request
  const ledger = yield* Ledger
  const trust = trustOf(ledger.read)
  if ("code" in trust) return yield* Refused.of(trust)
  const { cluster, roots } = trust
  const role = raftId === undefined ? "worker" : "manager"
  const membership = yield* issueMembership(roots, {
    member: { nodeId, clusterId: cluster.ID, role, addresses: [addr] },
    ...(raftId !== undefined && { raftId }),
    ...(cluster.Incarnation !== undefined && { incarnation: cluster.Incarnation }),
    csr,
    managers: peersOf(ledger.read),
    now: yield* Clock.currentTimeMillis,
    expiryMs: expiryMs(cluster),
    external: externalOf(cluster)
  }).pipe(Effect.catch(({ message }) => Effect.fail(Refused.of(refuse("invalidArgument", message)))))
  if (raftId !== undefined) yield* takePlace(ledger, request, raftId)
  return membership
})

/** Says where the new manager is reached: from then on the leader takes it into the Raft group. */
const takePlace = Effect.fnUntraced(function* (
  ledger: LedgerService,
  { nodeId, addr, ports }: RenewalRequest,
  raftId: string
): Effect.fn.Return<void, Refused> {
  const known = ledger.read.get("node", nodeId)
  if (known === undefined) return yield* Refused.of(refuse("notFound", "this node is not of this cluster"))
  // Somebody else may have made the certificate, who took their time.
  if (known.Spec.Role !== "manager") {
    return yield* Refused.of(refuse("failedPrecondition", "this node is to be a worker"))
  }
  const { ID, Spec, Status } = known
  const ManagerStatus = {
    Reachability: "unknown" as const,
    Addr: joinAddress(addr, ports),
    Ports: ports,
    RaftId: raftId
  }
  const outcome = yield* ledger.propose(
    { type: "node.register", v: 1, node: { ID, Spec, Status, ManagerStatus } },
    { who: nodeId, why: "it was promoted and says how it is reached as a manager" }
  )
  if (outcome._tag === "Applied") return
  return yield* Refused.of(
    outcome._tag === "Refused" ? outcome.refusal : refuse("unavailable", "The swarm did not answer in time.")
  )
})
