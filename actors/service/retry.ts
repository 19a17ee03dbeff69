/**
 * Whether and when an ended task is replaced: the restart supervisor.
 *
 * How often a slot was restarted is read off its history in the ledger, so a new leader counts on where the last
 * one stopped. A replacement prepares at once (desired `ready`) and may run when its delay is over and the task
 * before it has really stopped.
 */
import type { NewTask } from "#actors/ledger/commands.ts"
import { isExclusive } from "#actors/model/exclusive.ts"
import type { Task, TaskStatus } from "#actors/model/objects.ts"
import { modeOf } from "#actors/model/service-facts.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import { endedItself, isBefore, isLive, isTerminal, isWanted } from "#actors/model/task-state.ts"
import { leftOf, nanosToMs, toIso, toMs } from "#actors/model/time.ts"
import { mostBackOffMs, type Wait, waitAfter, waitOf } from "#actors/service/back-off.ts"
import {
  type Draft,
  newTask,
  nodeOf,
  type Slot,
  type SlotKey,
  slotKeyOf,
  specOf,
  type View
} from "#actors/service/slot.ts"

export interface Policy {
  readonly condition: "none" | "on-failure" | "any"
  readonly delayMs: number
  /** 0 is without limit. */
  readonly maxAttempts: number
  /** Restarts longer ago than this do not count; 0 counts all of them. */
  readonly windowMs: number
}

// Swarm's default.
const usualDelayMs = 5_000
/** Swarm's task timeout: a task that does not stop holds its successor up no longer than this. */
export const stopPatienceMs = 60_000

export function policyOf(spec: TaskSpec): Policy {
  const policy = spec.RestartPolicy ?? {}
  return {
    condition: policy.Condition ?? "any",
    delayMs: policy.Delay === undefined ? usualDelayMs : nanosToMs(policy.Delay),
    maxAttempts: policy.MaxAttempts ?? 0,
    windowMs: policy.Window === undefined ? 0 : nanosToMs(policy.Window)
  }
}

/** How often the slot was restarted with this task's spec, counted within the window before the task's end. */
function attemptsBefore(slot: ReadonlyArray<Task>, task: Task, windowMs: number, now: number): number {
  // When the leader heard of it: the clock of its node may be another.
  const endedAt = isTerminal(task.Status.State) ? toMs(task.UpdatedAt) : now
  let attempts = 0
  let before: Task | undefined
  for (const one of slot) {
    if (one.SpecVersion !== task.SpecVersion) continue
    const isRestart = before !== undefined && endedItself(before)
    if (isRestart && (windowMs === 0 || toMs(one.CreatedAt) >= endedAt - windowMs)) attempts += 1
    before = one
    if (one.ID === task.ID) break
  }
  return attempts
}

/** True when the policy of `task` lets its slot have another try. */
export function mayRestart(view: View, slot: ReadonlyArray<Task>, task: Task): boolean {
  const policy = policyOf(specOf(view, task))
  if (policy.condition === "none") return false
  const completed = task.Status.State === "complete"
  // A job that has done its work is done: `any` means `on-failure` there, as in Swarm.
  const isJob = view.service.JobStatus !== undefined || modeOf(view.service.Spec).endsWith("-job")
  if (completed && (policy.condition === "on-failure" || isJob)) return false
  if (policy.maxAttempts === 0) return true
  return attemptsBefore(slot, task, policy.windowMs, view.now) < policy.maxAttempts
}

/** Why a task cannot stay where it is, or that it can. */
export type Standing = "fine" | "gone" | "down" | "drained"

export function standing(view: View, task: Task): Standing {
  if (task.NodeID === undefined) return "fine"
  const node = nodeOf(view.ledger, task)
  if (node === undefined) return "gone"
  // Silence does not say that it runs no more.
  if (node.Status.State === "down" && !isExclusive(view.service.Spec)) return "down"
  return node.Spec.Availability === "drain" ? "drained" : "fine"
}

/** What the constraint enforcer says of a task that its node no longer suits. */
export const rejected = (now: number): TaskStatus => ({
  Timestamp: toIso(now),
  State: "rejected",
  Message: "task rejected by constraint enforcer",
  Err: "assigned node no longer meets constraints"
})
/** Where two must never run, a task has ended when its node says so, and not before. */
const rejectedBy = (view: View): TaskStatus | undefined =>
  isExclusive(view.service.Spec) ? undefined : rejected(view.now)

/** Nobody will hear of this task again, or it has ended: nothing of it can be in the way of another. */
export const isOutOfTheWay = (view: View, task: Task): boolean => {
  const where = standing(view, task)
  if (where === "gone" || where === "down") return true
  // While it is wanted, a node may be given it before what is decided now is written.
  if (isBefore(task.Status.State, "assigned")) return !isWanted(task)
  // One that was given up with its node was not seen to end.
  if (task.Status.State === "orphaned") return !isExclusive(view.service.Spec)
  return !isLive(task.Status.State)
}

/** Who may still be in a slot: where two must never run, also those that are on their way out for good. */
const occupantsOf = (view: View, key: SlotKey, slot: Slot | undefined): ReadonlyArray<Task> =>
  isExclusive(view.service.Spec)
    ? [...view.ledger.tasksOfService(view.service.ID)].filter((task) => slotKeyOf(task) === key)
    : (slot?.tasks ?? [])

/** True while something in the slot, wanted or not, has yet to stop. */
export const isTaken = (view: View, key: SlotKey, slot: Slot | undefined): boolean =>
  occupantsOf(view, key, slot).some((task) => !isOutOfTheWay(view, task))

/**
 * Ends `task` and puts another into its slot where the policy says so.
 *
 * The delay is for tasks that failed and would be tried again as they were: one that loses its node or no longer
 * suits it is replaced at once, and one of an older spec (`isDirty`) as soon as its slot is free, so that going back
 * from a spec that fails does not wait for it.
 */
export function retry(
  view: View,
  slot: Slot,
  task: Task,
  draft: Draft,
  { unfit, isDirty }: { readonly unfit: boolean; readonly isDirty: boolean }
): void {
  const { now } = view
  const mayTry = mayRestart(view, slot.tasks, task) && !draft.fills(slot.key)
  const isAway = nodeOf(view.ledger, task)?.Status.State === "down"
  const lostItsPlace = unfit || isAway || standing(view, task) !== "fine"
  const wait =
    !mayTry || isDirty || lostItsPlace
      ? { delayMs: 0, backsOff: false }
      : waitAfter(slot.tasks, task, policyOf(specOf(view, task)), now)
  draft.want(task, "shutdown", unfit ? rejectedBy(view) : told(task, wait))
  if (!mayTry) return
  if (isDirty && !lostItsPlace) {
    draft.fill(slot.key, newTask(view, slot.key, "ready", now))
    return
  }
  const { delayMs } = wait
  const isFree =
    (isOutOfTheWay(view, task) || (unfit && !isExclusive(view.service.Spec))) &&
    !isTakenBeside(view, slot, task)
  if (delayMs === 0 && isFree) {
    draft.fill(slot.key, newTask(view, slot.key, "running"))
    return
  }
  draft.fill(slot.key, newTask(view, slot.key, "ready", now + delayMs))
}

/** What `docker service ps` shows of a task whose slot backs off: that it does, and for how long. */
const told = ({ Status }: Task, { backsOff, delayMs }: Wait): TaskStatus | undefined => {
  if (!backsOff) return undefined
  const why = Status.Err ?? Status.State
  return { ...Status, Err: `${why} (fails again and again, next try after ${Math.round(delayMs / 1_000)}s)` }
}

/** True while another task of the slot that is to stop has not stopped. */
const isTakenBeside = (view: View, slot: Slot, task: Task): boolean =>
  occupantsOf(view, slot.key, slot).some(
    (other) => other.ID !== task.ID && isBefore("running", other.DesiredState) && !isOutOfTheWay(view, other)
  )

/** A task for a place where none is wanted. It may run at once, unless one that is to stop there has yet to. */
export function filler(view: View, key: SlotKey, slot: Slot | undefined): NewTask {
  return newTask(view, key, isTaken(view, key, slot) ? "ready" : "running")
}

/** Lets a task that waits in `ready` run, once its time has come and its slot is free. */
function release(view: View, slot: Slot, task: Task, draft: Draft): void {
  const waits = waitsFor(view, slot, task)
  if (waits > 0) {
    draft.wake(view.now + waits)
    return
  }
  if (!isTakenBeside(view, slot, task)) {
    draft.want(task, "running")
    return
  }
  if (isExclusive(view.service.Spec)) return
  const since = Math.max(toMs(task.StartAfter), toMs(task.CreatedAt))
  const left = leftOf(stopPatienceMs, since, view.now)
  if (left > 0) draft.wake(view.now + left)
  else draft.want(task, "running")
}

/** How long until it may run, in milliseconds. */
function waitsFor(view: View, slot: Slot, task: Task): number {
  if (task.StartAfter === undefined) return 0
  const { delayMs } = policyOf(specOf(view, task))
  const mayBackOff = slot.tasks.filter(endedItself).length > 1
  const given = mayBackOff ? Math.max(delayMs, Math.min(mostBackOffMs, waitOf(task))) : delayMs
  return leftOf(given, toMs(task.StartAfter) - given, view.now)
}

/** What one wanted task of a slot needs now: replacing, starting, or nothing. */
export function tend(
  view: View,
  slot: Slot,
  task: Task,
  draft: Draft,
  is: { readonly dirty: (task: Task) => boolean; readonly fit: (task: Task) => boolean }
): void {
  const ended = isTerminal(task.Status.State)
  const waits = ended && task.DesiredState === "ready" ? waitsFor(view, slot, task) : 0
  if (waits > 0) {
    // It failed while it waited for its turn: the delay it waits for is the one its own failure asks for.
    draft.wake(view.now + waits)
    return
  }
  const unfit = !ended && !is.fit(task)
  if (ended || unfit || standing(view, task) !== "fine") {
    const standIn = slot.wanted.some(
      (other) => other.ID !== task.ID && !isTerminal(other.Status.State) && !is.dirty(other)
    )
    if (standIn) draft.want(task, "shutdown", unfit ? rejectedBy(view) : undefined)
    else retry(view, slot, task, draft, { unfit, isDirty: is.dirty(task) })
    return
  }
  if (task.DesiredState === "ready") release(view, slot, task, draft)
}
