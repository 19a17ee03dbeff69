/** Small facts about task states. */
import { type Task, type TaskState, taskStates } from "#actors/model/objects.ts"

const order: Readonly<Record<TaskState, number>> = Object.fromEntries(
  taskStates.map((state, position) => [state, position])
) as Record<TaskState, number>

/** True when a task in `a` has yet to come to `b`. */
export const isBefore = (a: TaskState, b: TaskState): boolean => order[a] < order[b]

/** Nothing runs any more, and nothing will. */
export const isTerminal = (state: TaskState): boolean => order[state] > order.running

/** The node still owes this task work, or runs it. */
export const isLive = (state: TaskState): boolean => order[state] <= order.running

/** The orchestrator still wants this task: it counts as a replica, or as one of a job's. */
export const isWanted = (task: Task): boolean => order[task.DesiredState] <= order.complete

/** The scheduler has looked, and says why there is none. */
export const findsNoNode = ({ Status }: Task): boolean =>
  Status.State === "pending" && Status.Err !== undefined

/** Ended by itself, rather than because it was told to. */
export const endedItself = ({ Status: { State } }: Task): boolean =>
  State === "complete" || State === "failed" || State === "rejected"

export const newest = (a: TaskState, b: TaskState): TaskState => (order[a] >= order[b] ? a : b)
