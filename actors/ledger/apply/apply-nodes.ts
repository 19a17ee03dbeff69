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
  if (demotes && countManagers(tables) === 1) {
    return failedPrecondition("attempting to demote the last manager of the swarm")
  }
  tables.put("node", { ...node, Spec: command.spec, ...touched(at) })
  return { id: node.ID }
}

function countManagers(tables: LedgerTables): number {
  let managers = 0
  for (const node of tables.all("node")) if (node.Spec.Role === "manager") managers += 1
  return managers
}

export function observeNodes(tables: LedgerTables, at: At, command: Of<"node.observe">): Verdict {
  const skipped: Array<string> = []
  for (const seen of command.nodes) {
    const node = tables.get("node", seen.id)
    if (node === undefined) {
      skipped.push(seen.id)
      continue
    }
    const leads = seen.leader ?? node.ManagerStatus?.Leader
    const changed =
      seen.status !== undefined ||
      seen.description !== undefined ||
      (seen.leader !== undefined && seen.leader !== (node.ManagerStatus?.Leader ?? false))
    const after = {
      ...node,
      ...(seen.status === undefined ? {} : { Status: { ...node.Status, ...seen.status } }),
      ...(seen.description === undefined ? {} : { Description: seen.description }),
      ...(seen.lastSeen === undefined ? {} : { LastSeen: seen.lastSeen }),
      ...(node.ManagerStatus === undefined || leads === undefined
        ? {}
        : { ManagerStatus: { ...node.ManagerStatus, Leader: leads } }),
      ...(changed ? touched(at) : {})
    }
    tables.put("node", after, !changed)
  }
  return { skipped }
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
  for (const task of [...tables.tasksOfNode(node.ID)]) {
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
