/** How far a service has come, and why it has not. */
import type { Task } from "#actors/model/objects.ts"
import { endedItself, isLive, isWanted } from "#actors/model/task-state.ts"
import type { PresentService } from "#cli/compose/plan.ts"

export interface Standing {
  readonly name: string
  readonly running: number
  readonly wanted: number
  readonly isThere: boolean
  /** It will not come by itself: its update was paused or rolled back, its attempts are used, or no node is suitable for good. */
  readonly isStopped: boolean
  readonly why: ReadonlyArray<string>
  /** The task that failed last, whose log may say more. */
  readonly failed?: string
}

export type Counted = PresentService & {
  readonly ServiceStatus?: {
    readonly RunningTasks: number
    readonly DesiredTasks: number
    readonly CompletedTasks?: number
  }
}

/** What there was before the stack was made what its file says. */
export interface Before {
  /** Services that were changed then. */
  readonly changed: ReadonlySet<string>
  /** Their tasks: that they ended says nothing of the spec that is wanted now. */
  readonly tasks: ReadonlySet<string>
}

export function judge(service: Counted, tasks: ReadonlyArray<Task>, before: Before): Standing {
  const { RunningTasks = 0, DesiredTasks = 0, CompletedTasks = 0 } = service.ServiceStatus ?? {}
  const { State = "completed", Message = "" } = service.UpdateStatus ?? {}
  // A service that was not to be changed is what it was rolled back to.
  const isRolledBack = State.startsWith("rollback") && before.changed.has(service.ID)
  const update = State === "rollback_completed" && !isRolledBack ? "completed" : State
  const mode = service.Spec.Mode
  const isJob = mode?.ReplicatedJob !== undefined || mode?.GlobalJob !== undefined
  const running = isJob ? CompletedTasks : RunningTasks
  const wanted = isJob ? (mode?.ReplicatedJob?.TotalCompletions ?? DesiredTasks) : DesiredTasks
  const own = tasks.filter(({ ServiceID }) => ServiceID === service.ID)
  const ended = own.filter((task) => endedItself(task) && !before.tasks.has(task.ID)).sort(byTime)
  const isHeld = isRolledBack || update.endsWith("paused")
  // Jobs go on in other slots, and an update has its own way of failing.
  const isSpent =
    !isJob && update === "completed" && own.filter(stands).length < wanted && isGivenUp(service, own, ended)
  const isStopped = isHeld || isSpent || own.some(isUnplaceable)
  const failed = ended.find(({ Status }) => Status.State === "failed")?.ID
  return {
    name: service.Spec.Name,
    running,
    wanted,
    isThere: update === "completed" && running >= wanted && (isJob || isSettled(own, wanted)),
    isStopped,
    why: [
      ...(isHeld ? [`${update}: ${Message}`] : []),
      ...reasons(own),
      ...(isSpent ? ["its restart policy begins no more tasks"] : [])
    ],
    ...(failed === undefined ? {} : { failed })
  }
}

const stands = (task: Task): boolean => isWanted(task) && isLive(task.Status.State)
const byTime = (a: Task, b: Task): number => (a.Status.Timestamp < b.Status.Timestamp ? 1 : -1)

/** Whether a slot has ended that the restart policy leaves so. `ended`, the newest first. */
function isGivenUp({ Spec }: Counted, own: ReadonlyArray<Task>, ended: ReadonlyArray<Task>): boolean {
  const { Condition = "any", MaxAttempts = 0, Window = 0 } = Spec.TaskTemplate?.RestartPolicy ?? {}
  const slotOf = (task: Task) => task.Slot ?? task.NodeID
  const taken = new Set(own.filter(stands).map(slotOf))
  const slots = new Map<number | string | undefined, Array<Task>>()
  for (const task of ended) slots.set(slotOf(task), [...(slots.get(slotOf(task)) ?? []), task])
  return [...slots].some(([slot, dead]) => {
    if (taken.has(slot)) return false
    if (Condition === "none") return true
    if (Condition === "on-failure" && dead[0]?.Status.State === "complete") return true
    // Within a window attempts are forgotten again.
    return MaxAttempts > 0 && Window === 0 && dead.length > MaxAttempts
  })
}

/** What no task that ends and no node that comes back changes. */
const lasting = /^(scheduling constraints not satisfied|unsupported platform|missing plugin)/

function isUnplaceable(task: Task): boolean {
  const reasons = /^no suitable node \((.*)\)$/.exec(task.Status.Err ?? "")?.[1]?.split("; ") ?? []
  const waits = isWanted(task) && task.Status.State === "pending"
  return waits && reasons.length > 0 && reasons.every((reason) => lasting.test(reason))
}

const isSettled = (tasks: ReadonlyArray<Task>, wanted: number): boolean =>
  tasks.filter((task) => isWanted(task) && task.Status.State === "running").length >= wanted

/** Each thing that tasks say is wrong, once, the newest first. */
function reasons(tasks: ReadonlyArray<Task>): ReadonlyArray<string> {
  const told = tasks
    .filter(({ Status }) => (Status.Err ?? "") !== "")
    .sort(byTime)
    .map(({ Status }) => `${Status.State}: ${Status.Err}`)
  return [...new Set(told)].slice(0, 3)
}
