/** Which ended tasks are kept as history, and which are deleted for good. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Service, Task, TaskState } from "#actors/model/objects.ts"
import { endedItself, isBefore, isTerminal, isWanted } from "#actors/model/task-state.ts"
import { byAge } from "#actors/service/slot.ts"

// Swarm's default.
const usualHistory = 5

/**
 * How many tasks of one slot are kept, the present one included; negative is without limit. A service that
 * limits its restarts keeps enough to count them by.
 */
export function historyOf(ledger: LedgerReader, service: Service): number {
  const attempts = attemptsOf(service)
  if (attempts > 0) return attempts + 1
  return ledger.cluster()?.Spec.Orchestration?.TaskHistoryRetentionLimit ?? usualHistory
}

/** To how many restarts its policy limits a slot of the service; 0 is without limit. */
export const attemptsOf = ({ Spec }: Service): number => Spec.TaskTemplate?.RestartPolicy?.MaxAttempts ?? 0

/** No node has been given the task, and none will be. */
const neverRuns = (task: Task): boolean => isBefore(task.Status.State, "assigned") && isUnwanted(task)
const isUnwanted = (task: Task): boolean => isBefore("complete", task.DesiredState)

/** Only in these states can a task be disposable. */
export const isAtRest = (state: TaskState): boolean => isTerminal(state) || isBefore(state, "assigned")

/** True when nothing is to be remembered of a task: it was to be removed, or has no service, or never came to run. */
export function isDisposable(ledger: LedgerReader, task: Task): boolean {
  if (neverRuns(task)) return true
  const isLeaving = task.DesiredState === "remove" || ledger.get("service", task.ServiceID) === undefined
  return isLeaving && isAtRest(task.Status.State)
}

/**
 * The tasks of one slot that its history has no room for, oldest first. What a limit of `attempts` restarts is counted
 * by stays, whatever else is in the slot: tasks of older specs, or such as lost their node or are slow to stop.
 */
export function prune(slot: ReadonlyArray<Task>, limit: number, attempts = 0): ReadonlyArray<Task> {
  let tooMany = limit < 0 ? 0 : slot.length - limit
  if (tooMany <= 0) return []
  const ordered = [...slot].sort(byAge)
  // What stopped by its policy must be seen to have stopped, or the slot would look as if it had never been filled, or
  // as if an update had yet to come to it.
  const newest = ordered[ordered.length - 1]
  const last = newest !== undefined && (endedItself(newest) || !slot.some(isWanted)) ? newest : undefined
  const version = newest?.SpecVersion
  const tries = ordered.filter((task) => task.SpecVersion === version && endedItself(task))
  const counted = new Set(attempts > 0 ? tries.slice(-attempts - 1) : [])
  const pruned: Array<Task> = []
  for (const task of ordered) {
    if (tooMany === 0) break
    if (task === last || counted.has(task) || isWanted(task) || !isTerminal(task.Status.State)) continue
    pruned.push(task)
    tooMany -= 1
  }
  return pruned
}
