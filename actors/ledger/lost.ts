/** Tasks whose nodes are down. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { isExclusive, keptBy } from "#actors/model/exclusive.ts"
import type { Task } from "#actors/model/objects.ts"
import { isLive } from "#actors/model/task-state.ts"

/** The last that was heard of it says nothing any more. */
export const isLost = (reader: LedgerReader, { NodeID: nodeId }: Task): boolean =>
  nodeId !== undefined && reader.get("node", nodeId)?.Status.State === "down"

/** Why the slot of a task has no other: nobody knows whether it still runs, and two of it must not. */
export function whyKept(reader: LedgerReader, task: Task): string | undefined {
  if (!isLive(task.Status.State) || !isLost(reader, task)) return undefined
  if (!isExclusive(reader.get("service", task.ServiceID)?.Spec ?? {})) return undefined
  const node = reader.get("node", task.NodeID ?? "")
  return node && keptBy(node.Description?.Hostname || node.ID, node.ID)
}
