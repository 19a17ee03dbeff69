/** Tasks whose nodes are down. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { isExclusive, keptBy } from "#actors/model/exclusive.ts"
import type { Node, Task } from "#actors/model/objects.ts"
import { isLive } from "#actors/model/task-state.ts"

/** The node of a task, where it is down. */
export function lostNodeOf(reader: LedgerReader, { NodeID: nodeId }: Task): Node | undefined {
  const node = nodeId === undefined ? undefined : reader.get("node", nodeId)
  return node?.Status.State === "down" ? node : undefined
}

/** The last that was heard of it says nothing any more. */
export const isLost = (reader: LedgerReader, task: Task): boolean => lostNodeOf(reader, task) !== undefined

/** Why the slot of a task has no other: nobody knows whether it still runs, and two of it must not. */
export function whyKept(reader: LedgerReader, task: Task): string | undefined {
  const node = isLive(task.Status.State) ? lostNodeOf(reader, task) : undefined
  if (node === undefined) return undefined
  if (!isExclusive(reader.get("service", task.ServiceID)?.Spec ?? {})) return undefined
  return keptBy(node.Description?.Hostname || node.ID, node.ID)
}
