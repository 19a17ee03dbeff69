/** What entries about nodes do to the tables, and to the tasks of a node that is removed. */
import {
  type At,
  born,
  failedPrecondition,
  notFound,
  type Of,
  touched,
  type Verdict
} from "#actors/ledger/apply/verdict.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { outOfSequence } from "#actors/model/errors.ts"
import type { Node } from "#actors/model/objects.ts"
import { isTerminal } from "#actors/model/task-state.ts"

export function registerNode(tables: LedgerTables, at: At, { node }: Of<"node.register">): Verdict {
  const known = tables.get("node", node.ID)
  tables.put(
    "node",
    known === undefined
      ? { ...node, ...born(at) }
      : { ...known, ...node, Spec: known.Spec, CreatedAt: known.CreatedAt, ...touched(at) }
  )
  return { id: node.ID }
}

export function updateNode(tables: LedgerTables, at: At, command: Of<"node.update">): Verdict {
  const node = tables.get("node", command.id)
  if (node === undefined) return notFound("node", command.id)
  if (node.Version.Index !== command.version) return outOfSequence
  const demotes = node.Spec.Role === "manager" && command.spec.Role === "worker"
  if (demotes) {
    const { managers, reachable } = managersWithout(tables, node.ID)
    if (managers === 0) return failedPrecondition("attempting to demote the last manager of the swarm")
    if (reachable < quorumOf(managers)) {
      return failedPrecondition(
        `can't remove member from the raft: this would result in a loss of quorum: of the ${managers} managers that would remain, ${reachable} can be reached, and ${quorumOf(managers)} are needed`
      )
    }
  }
  const { Access: access, ...rest } = node
  tables.put("node", {
    ...rest,
    ...(access !== undefined && !demotes && { Access: access }),
    Spec: command.spec,
    ...touched(at)
  })
  return { id: node.ID }
}

const quorumOf = (managers: number): number => Math.floor(managers / 2) + 1

/** The managers that decide when one of them is gone, and how many of those the leader can reach. */
function managersWithout(tables: LedgerTables, id: string) {
  let managers = 0
  let reachable = 0
  for (const node of tables.all("node")) {
    if (node.Spec.Role !== "manager" || node.ID === id) continue
    managers += 1
    if (node.ManagerStatus?.Reachability === "reachable") reachable += 1
  }
  return { managers, reachable }
}

export function observeNodes(tables: LedgerTables, at: At, command: Of<"node.observe">): Verdict {
  const skipped: Array<string> = []
  for (const seen of command.nodes) {
    const node = tables.get("node", seen.id)
    if (node === undefined) {
      skipped.push(seen.id)
      continue
    }
    const manager = observeManager(node.ManagerStatus, seen)
    const changed =
      seen.status !== undefined || seen.description !== undefined || manager !== node.ManagerStatus
    const { ManagerStatus: _before, ...rest } = node
    const after = {
      ...rest,
      ...(seen.status === undefined ? {} : { Status: { ...node.Status, ...seen.status } }),
      ...(seen.description === undefined ? {} : { Description: seen.description }),
      ...(seen.lastSeen === undefined ? {} : { LastSeen: seen.lastSeen }),
      ...(manager !== undefined && { ManagerStatus: manager }),
      ...(changed ? touched(at) : {})
    }
    tables.put("node", after, !changed)
  }
  return { skipped }
}

type ManagerStatus = NonNullable<Node["ManagerStatus"]>

/** The same object where nothing is new. */
function observeManager(
  before: ManagerStatus | undefined,
  { leader, reachability, retired }: Of<"node.observe">["nodes"][number]
): ManagerStatus | undefined {
  if (before === undefined || retired) return undefined
  const Leader = leader ?? before.Leader ?? false
  const Reachability = reachability ?? before.Reachability
  if (Leader === (before.Leader ?? false) && Reachability === before.Reachability) return before
  return { ...before, Leader, Reachability }
}

/** Keeps the version: people who change a node meanwhile are not in its way. */
export function placeGateways(tables: LedgerTables, command: Of<"node.gateways">): Verdict {
  const skipped: Array<string> = []
  for (const { id, gateways } of command.nodes) {
    const node = tables.get("node", id)
    if (node === undefined) {
      skipped.push(id)
      continue
    }
    const { Gateways: _before, ...rest } = node
    tables.put("node", gateways.length === 0 ? rest : { ...rest, Gateways: gateways })
  }
  return { skipped }
}

/** Keeps the version, as `placeGateways` does. Of managers alone: what a demoted one says counts for nothing. */
export function grantAccess(tables: LedgerTables, { id, access }: Of<"node.access">): Verdict {
  const node = tables.get("node", id)
  if (node === undefined) return notFound("node", id)
  if (node.Spec.Role !== "manager") return failedPrecondition(`node ${id} is no manager`)
  tables.put("node", { ...node, Access: access }, true)
  return { id }
}

export function removeNode(tables: LedgerTables, at: At, command: Of<"node.remove">): Verdict {
  const node = tables.get("node", command.id)
  if (node === undefined) return notFound("node", command.id)
  if (node.Spec.Role === "manager") {
    return failedPrecondition(
      `node ${node.ID} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`
    )
  }
  if (!command.force && node.Status.State === "ready") {
    return failedPrecondition(`node ${node.ID} is not down and can't be removed`)
  }
  // By id: followers of the feed hear them in the same order on every member.
  const tasks = [...tables.tasksOfNode(node.ID)].sort((a, b) => (a.ID < b.ID ? -1 : 1))
  for (const task of tasks) {
    if (isTerminal(task.Status.State)) continue
    tables.put("task", {
      ...task,
      Status: { ...task.Status, Timestamp: at.time, State: "orphaned", Message: "node was removed" },
      ...touched(at)
    })
  }
  tables.remove("node", node.ID)
  return { id: node.ID }
}
