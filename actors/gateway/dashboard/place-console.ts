/** Where a console beside a task runs: in which container, on which node. */
import { taskName } from "#actors/gateway/find.ts"
import { featureLevelOf, levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"

export interface ConsolePlace {
  readonly nodeId: string
  readonly task: string
  readonly container: string
  /** The container's, for people. */
  readonly name: string
}

/** Refuses tasks that are not known, those whose container does not run, and those of nodes that cannot, unless it is `self`. */
export function placeConsole(reader: LedgerReader, self: string, taskId: string): ConsolePlace | Refusal {
  const task = reader.get("task", taskId)
  if (task === undefined) return refuse("notFound", `task ${taskId} not found`)
  const name = taskName(reader, task)
  const container = task.Status.ContainerStatus?.ContainerID ?? ""
  const { State: state } = task.Status
  // A container whose health is not known yet runs already.
  if ((state !== "running" && state !== "starting") || container === "" || task.NodeID === undefined)
    return refuse("failedPrecondition", `task ${name} is ${state}: expected one that runs`)
  const node = reader.get("node", task.NodeID)
  if (task.NodeID !== self && (node === undefined || featureLevelOf(node) < levelOf.consoles)) {
    const called = node?.Description?.Hostname ?? task.NodeID
    return refuse(
      "failedPrecondition",
      `node ${called} of task ${name}: expected one of this release; upgrade it`
    )
  }
  return { nodeId: task.NodeID, task: taskId, container, name }
}
