/**
 * How long a slot waits whose tasks fail again and again: from the fifth failure in a row on twice as long as the last
 * time, up to five minutes. A task that stayed up for a while ends the row.
 *
 * All of it is read off the slot's history, so a new leader goes on where the last one stopped. Five tasks of a slot are
 * as many as the reaper leaves by default; where the cluster keeps fewer (`--task-history-limit`), nothing backs off.
 */
import type { Task } from "#actors/model/objects.ts"
import { toMs } from "#actors/model/time.ts"
import type { Policy } from "#actors/service/retry.ts"

const manyFailures = 5
const leastMs = 1_000
export const mostBackOffMs = 300_000
/** Up for this long, or for twice what it had waited, is no failure in a row. */
const steadyMs = 10_000

export interface Wait {
  readonly delayMs: number
  /** Longer than the policy's delay, because this has failed again and again. */
  readonly backsOff: boolean
}

/** `tasks` are the slot's, oldest first, up to `task`, which has just ended by itself; `now` is the leader's clock. */
export function waitAfter(
  tasks: ReadonlyArray<Task>,
  task: Task,
  { delayMs, maxAttempts }: Pick<Policy, "delayMs" | "maxAttempts">,
  now: number
): Wait {
  // So many tries within a window were asked for: later ones would be others.
  if (maxAttempts > 0) return { delayMs, backsOff: false }
  const failures = failuresInRow(tasks, task, now)
  const waited = waitOf(task)
  const base = Math.max(delayMs, leastMs)
  const backsOff = failures >= manyFailures || (failures > 1 && waited >= base * 1.5)
  if (!backsOff || delayMs >= mostBackOffMs) return { delayMs, backsOff: false }
  return { delayMs: Math.min(mostBackOffMs, 2 * Math.max(base, waited)), backsOff }
}

/** What the task itself had to wait before it might run. */
export const waitOf = (task: Task): number =>
  task.StartAfter === undefined ? 0 : toMs(task.StartAfter) - toMs(task.CreatedAt)

function failuresInRow(tasks: ReadonlyArray<Task>, task: Task, now: number): number {
  let failures = 0
  const last = tasks.indexOf(task)
  for (let at = last; at >= 0; at--) {
    const one = tasks[at] as Task
    const { State } = one.Status
    if (one.SpecVersion !== task.SpecVersion || (State !== "failed" && State !== "rejected")) break
    // The one that came after it was made when it ended: clocks of nodes are not asked.
    const endedAt = at === last ? now : toMs((tasks[at + 1] as Task).CreatedAt)
    const mightRunAt = Math.max(toMs(one.CreatedAt), toMs(one.StartAfter))
    failures++
    if (endedAt - mightRunAt >= Math.max(steadyMs, 2 * waitOf(one))) break
  }
  return failures
}
