/** How far a service has come, and why it has not. */
import type { Task } from "#actors/model/objects.ts"
import { isWanted } from "#actors/model/task-state.ts"
import type { PresentService } from "#cli/compose/plan.ts"

export interface Standing {
  readonly name: string
  readonly running: number
  readonly wanted: number
  readonly isThere: boolean
  /** It will not come by itself: its update was paused or rolled back. */
  readonly isStopped: boolean
  readonly why: ReadonlyArray<string>
}

export type Counted = PresentService & {
  readonly ServiceStatus?: {
    readonly RunningTasks: number
    readonly DesiredTasks: number
    readonly CompletedTasks?: number
  }
}

export function judge(service: Counted, tasks: ReadonlyArray<Task>): Standing {
  const { RunningTasks = 0, DesiredTasks = 0, CompletedTasks = 0 } = service.ServiceStatus ?? {}
  const { State: update = "completed", Message = "" } = service.UpdateStatus ?? {}
  const mode = service.Spec.Mode
  const isJob = mode?.ReplicatedJob !== undefined || mode?.GlobalJob !== undefined
  const running = isJob ? CompletedTasks : RunningTasks
  const wanted = isJob ? (mode?.ReplicatedJob?.TotalCompletions ?? DesiredTasks) : DesiredTasks
  const isStopped = /paused|rollback/.test(update)
  const own = tasks.filter(({ ServiceID }) => ServiceID === service.ID)
  return {
    name: service.Spec.Name,
    running,
    wanted,
    isThere: update === "completed" && running >= wanted && (isJob || isSettled(own, wanted)),
    isStopped,
    why: [...(isStopped ? [`${update}: ${Message}`] : []), ...reasons(own)]
  }
}

const isSettled = (tasks: ReadonlyArray<Task>, wanted: number): boolean =>
  tasks.filter((task) => isWanted(task) && task.Status.State === "running").length >= wanted

/** Each thing that tasks say is wrong, once, the newest first. */
function reasons(tasks: ReadonlyArray<Task>): ReadonlyArray<string> {
  const told = tasks
    .filter(({ Status }) => (Status.Err ?? "") !== "")
    .sort((a, b) => (a.Status.Timestamp < b.Status.Timestamp ? 1 : -1))
    .map(({ Status }) => `${Status.State}: ${Status.Err}`)
  return [...new Set(told)].slice(0, 3)
}
