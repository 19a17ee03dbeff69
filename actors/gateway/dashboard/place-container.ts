/** Where a task's container is, for whoever asks something about it or of it. */
import { taskName } from "#actors/gateway/find.ts"
import { featureLevelOf, levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface ContainerPlace {
  readonly nodeId: string
  readonly task: string
  readonly container: string
  /** The container's, for people. */
  readonly name: string
}

/**
 * Refuses tasks that are not known, those without a container, which has to run where it is for a console, and those of
 * nodes that cannot be asked for it, unless it is `self`.
 */
export function placeContainer(
  reader: LedgerReader,
  self: string,
  taskId: string,
  what: "consoles" | "health"
): ContainerPlace | Refusal {
  const task = reader.get("task", taskId)
  if (task === undefined) return refuse("notFound", `task ${taskId} not found`)
  const name = taskName(reader, task)
  const container = task.Status.ContainerStatus?.ContainerID ?? ""
  const { State: state } = task.Status
  // A container whose health is not known yet runs already.
  const isFit = what === "health" || state === "running" || state === "starting"
  if (!isFit || container === "" || task.NodeID === undefined) {
    const expected = what === "health" ? "has a container" : "runs"
    return refuse("failedPrecondition", `task ${name} is ${state}: expected one that ${expected}`)
  }
  const node = reader.get("node", task.NodeID)
  if (task.NodeID !== self && (node === undefined || featureLevelOf(node) < levelOf[what])) {
    const called = node?.Description?.Hostname ?? task.NodeID
    return refuse(
      "failedPrecondition",
      `node ${called} of task ${name}: expected one of this release; upgrade it`
    )
  }
  return { nodeId: task.NodeID, task: taskId, container, name }
}
