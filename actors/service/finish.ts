/**
 * Jobs: tasks that run to their end, as many at a time and in all as the service asks for, or one per node.
 *
 * A job's tasks are wanted `complete`. Those of an earlier iteration go when the job is started again.
 */
import type { NewTask } from "#actors/ledger/commands.ts"
import type { Node, Task } from "#actors/model/objects.ts"
import { modeOf } from "#actors/model/service-facts.ts"
import { isLive, isTerminal } from "#actors/model/task-state.ts"
import { leftOf, toMs } from "#actors/model/time.ts"
import { fitTest, placeTest } from "#actors/service/dirty.ts"
import {
  isOutOfTheWay,
  mayRestart,
  policyOf,
  rejected,
  standing,
  stopPatienceMs
} from "#actors/service/retry.ts"
import {
  Draft,
  newTask,
  room,
  type Slot,
  type SlotKey,
  slotsOf,
  specOf,
  type View
} from "#actors/service/slot.ts"

/** The changes that bring the job nearer to its end. */
export function finish(view: View): Draft {
  const draft = new Draft()
  const iteration = view.service.JobStatus?.JobIteration.Index ?? 0
  const current: Array<Slot> = []
  for (const slot of slotsOf(view.ledger, view.service.ID)) {
    const mine: Array<Task> = []
    for (const task of slot.tasks) {
      if ((task.JobIteration?.Index ?? 0) === iteration) mine.push(task)
      else draft.want(task, "remove")
    }
    const newest = mine[mine.length - 1]
    if (newest !== undefined)
      current.push({ key: slot.key, tasks: mine, wanted: mine.filter(isWantedHere), newest })
  }
  const fits = placeTest(view)
  if (modeOf(view.service.Spec) === "global-job") finishOnNodes(view, current, draft, fits)
  else finishInSlots(view, current, draft, fits)
  return draft
}

const isWantedHere = (task: Task): boolean => task.DesiredState !== "shutdown"
const isDone = (slot: Slot): boolean => slot.tasks.some((task) => task.Status.State === "complete")

type Fits = (task: Task) => boolean

/** What a slot comes to: nothing left to do in it, work under way, or free for another task. */
type Progress = "done" | "busy" | "free" | "spent"

/** Replaces what failed, or lost its node or its place there, as the policy allows, and says where the slot stands. */
function tendJob(view: View, slot: Slot, draft: Draft, fits: Fits): Progress {
  const task = slot.newest
  if (isDone(slot)) return isLive(task.Status.State) ? stopSpare(view, task, draft) : "done"
  if (!isWantedHere(task)) {
    if (!mayRestart(view, slot.tasks, task)) return "spent"
    return hasLeft(view, task, draft) ? "free" : "busy"
  }
  const failed = isTerminal(task.Status.State)
  const unfit = !failed && !fits(task)
  const lost = unfit || (!failed && standing(view, task) !== "fine")
  if (!failed && !lost) return "busy"
  const status = unfit ? rejected(view.now) : undefined
  if (!mayRestart(view, slot.tasks, task)) {
    draft.want(task, "shutdown", status)
    return "spent"
  }
  const delayMs = lost ? 0 : policyOf(specOf(view, task)).delayMs
  // When the leader heard of it: the clock of its node may be another.
  const left = lost ? 0 : leftOf(delayMs, toMs(task.UpdatedAt), view.now)
  if (left > 0) {
    draft.wake(view.now + left)
    return "busy"
  }
  draft.want(task, "shutdown", status)
  return unfit || isOutOfTheWay(view, task) ? "free" : "busy"
}

/** One that had been lost has done the work meanwhile: its successor stops, and is one at work until it has. */
function stopSpare(view: View, task: Task, draft: Draft): Progress {
  if (isWantedHere(task)) draft.want(task, "shutdown")
  else if (hasLeft(view, task, draft)) return "done"
  return "busy"
}

/** The work of a slot is not done by two at a time, unless the first takes too long to stop. */
function hasLeft(view: View, task: Task, draft: Draft): boolean {
  const left = leftOf(stopPatienceMs, toMs(task.UpdatedAt), view.now)
  if (isOutOfTheWay(view, task) || left === 0) return true
  draft.wake(view.now + left)
  return false
}

function finishInSlots(view: View, slots: ReadonlyArray<Slot>, draft: Draft, holds: Fits): void {
  const job = view.service.Spec.Mode?.ReplicatedJob ?? {}
  const atOnce = job.MaxConcurrent ?? 1
  const total = job.TotalCompletions ?? atOnce
  const taken = new Set<SlotKey>()
  const free: Array<SlotKey> = []
  let done = 0
  let busy = 0
  let spent = 0
  for (const slot of slots) {
    taken.add(slot.key)
    const progress = tendJob(view, slot, draft, holds)
    if (progress === "done") done += 1
    else if (progress === "busy") busy += 1
    else if (progress === "spent") spent += 1
    else free.push(slot.key)
  }
  let open = Math.min(atOnce - busy, total - done - busy - spent, room(slots))
  // Swarm numbers the slots of a job from 0, and its CLI counts on that.
  for (let number = 0; free.length < open; number++) if (!taken.has(number)) free.push(number)
  for (const key of free) {
    if (open <= 0) break
    open -= 1
    draft.fill(key, jobTask(view, key))
  }
}

function finishOnNodes(view: View, slots: ReadonlyArray<Slot>, draft: Draft, holds: Fits): void {
  const fits = fitTest(view)
  const byNode = new Map(slots.map((slot) => [slot.key, slot]))
  const isLate = lateTest(view, slots)
  for (const node of view.ledger.all("node")) {
    const slot = byNode.get(node.ID)
    byNode.delete(node.ID)
    const suits = node.Status.State === "ready" && node.Spec.Availability !== "drain" && fits(node)
    if (!suits) {
      for (const task of slot?.wanted ?? []) if (!isTerminal(task.Status.State)) draft.want(task, "shutdown")
      continue
    }
    if (node.Spec.Availability === "pause" || (slot === undefined && isLate(node))) continue
    if (slot === undefined || tendJob(view, slot, draft, holds) === "free")
      draft.fill(node.ID, jobTask(view, node.ID))
  }
  for (const slot of byNode.values()) for (const task of slot.wanted) draft.want(task, "shutdown")
}

/** A node that joined when the job had ended everywhere has nothing to do with it until it is started again. */
function lateTest(view: View, slots: ReadonlyArray<Slot>): (node: Node) => boolean {
  const started = view.service.JobStatus?.LastExecution
  const isOver =
    slots.length > 0 &&
    slots.every(
      (slot) =>
        isDone(slot) || (isTerminal(slot.newest.Status.State) && !mayRestart(view, slot.tasks, slot.newest))
    )
  return (node) => isOver && started !== undefined && toMs(node.CreatedAt) > toMs(started)
}

function jobTask(view: View, key: SlotKey): NewTask {
  const iteration = view.service.JobStatus?.JobIteration
  return {
    ...newTask(view, key, "complete"),
    ...(iteration === undefined ? {} : { JobIteration: iteration })
  }
}
