/**
 * What follows for the Raft group from who is to be a manager: one step at a time, and what the ledger should say
 * of each manager. The ledger tells what people want, the group tells what is.
 */
import { raftIdOf } from "#actors/authority/peers.ts"
import type { Command } from "#actors/ledger/commands.ts"
import { featureLevel, featureLevelOf } from "#actors/ledger/features.ts"
import type { Cluster, Node } from "#actors/model/objects.ts"
import type { GroupChange, GroupView } from "#actors/raft/protocol.ts"

/**
 * The next change of the group, if one is due. Who is to join comes before who is to leave, so that a replacement is
 * there first; the leader itself leaves last, because its successor has to finish what is begun.
 */
export function nextChange(nodes: Iterable<Node>, group: GroupView, self: string): GroupChange | undefined {
  if (!group.settled) return undefined
  const known = new Set(group.members.map(({ id }) => id))
  const removed = new Set(group.removed)
  const wanted = new Set<string>()
  let joining: string | undefined
  for (const node of nodes) {
    if (node.Spec.Role !== "manager" || node.ManagerStatus === undefined) continue
    const id = raftIdOf(node)
    // Promoted again before it had left: it comes back under another name.
    if (removed.has(id)) continue
    wanted.add(id)
    if (!known.has(id) && (joining === undefined || id < joining)) joining = id
  }
  if (joining !== undefined) return { _tag: "AddLearner", node: joining }
  // Somebody must be left to remove the others.
  if (wanted.size === 0) return undefined
  const leaving = [...known].filter((id) => !wanted.has(id)).sort()
  const next = leaving.find((id) => id !== self) ?? leaving[0]
  return next === undefined ? undefined : { _tag: "Remove", node: next }
}

type Observed = Extract<Command, { type: "node.observe" }>["nodes"][number]

/** Where the ledger's word on a manager differs from what the leader, which is called `self` in the group, sees. */
export function observed(nodes: Iterable<Node>, group: GroupView, self: string): ReadonlyArray<Observed> {
  const members = new Map(group.members.map((member) => [member.id, member]))
  const removed = new Set(group.removed)
  const found: Array<Observed> = []
  for (const node of nodes) {
    const { ManagerStatus, Spec, ID } = node
    if (ManagerStatus === undefined) continue
    const member = members.get(raftIdOf(node))
    if (member === undefined) {
      if (Spec.Role === "worker" || removed.has(raftIdOf(node))) found.push({ id: ID, retired: true })
      continue
    }
    // A learner has yet to show that it can be reached: it counts for nothing so far.
    const reachability = member.voter ? (member.reachable ? "reachable" : "unreachable") : "unknown"
    const leader = member.id === self
    const isOther = (ManagerStatus.Leader ?? false) !== leader
    if (!isOther && ManagerStatus.Reachability === reachability) continue
    found.push({ id: ID, reachability, ...(isOther && { leader }) })
  }
  return found
}

/** The level that the cluster's managers can all do, where that is above what the cluster has. */
export function risenLevel(nodes: Iterable<Node>, cluster: Cluster | undefined): number | undefined {
  if (cluster === undefined) return undefined
  // The leader must understand what it writes, and everyone who keeps the log.
  let level = featureLevel
  for (const node of nodes)
    if (node.ManagerStatus !== undefined) level = Math.min(level, featureLevelOf(node))
  return level > cluster.FeatureLevel ? level : undefined
}
