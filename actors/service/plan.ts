/**
 * Rolling updates and rollbacks: which slots get their new task now, and when to pause, go back or be done.
 *
 * How far an update has come is read off the tasks it made: those of the service's present spec that were
 * created, into a slot that had another, since the update began. So any leader can carry it on.
 */
import { conflictOf } from "#actors/ledger/apply/apply-services.ts"
import { plainWords } from "#actors/model/errors.ts"
import { isExclusive } from "#actors/model/exclusive.ts"
import type { Service, Task } from "#actors/model/objects.ts"
import { endedItself, isLive, isTerminal, isWanted } from "#actors/model/task-state.ts"
import { leftOf, nanosToMs, toIso, toMs } from "#actors/model/time.ts"
import { isPaused, isRollingBack, isUnderWay } from "#actors/model/update-status.ts"
import { isTaken, mayRestart, standing } from "#actors/service/retry.ts"
import { type Draft, newTask, type Slot, type View } from "#actors/service/slot.ts"

export interface Pace {
  /** Slots under way at a time. */
  readonly parallelism: number
  /** Pause between one slot's new task running and the next slot, in milliseconds. */
  readonly delayMs: number
  readonly failureAction: "continue" | "pause" | "rollback"
  /** How long a new task is watched for failure, in milliseconds. */
  readonly monitorMs: number
  readonly maxFailureRatio: number
  readonly order: "stop-first" | "start-first"
}

// Swarm's defaults.
const usualMonitorMs = 5_000

/** The pace of the update, or of the rollback, that the service asks for. */
function paceOf(service: Service, rollsBack: boolean): Pace {
  const asked = rollsBack ? service.Spec.RollbackConfig : service.Spec.UpdateConfig
  const delayMs = nanosToMs(asked?.Delay ?? 0)
  const monitorMs =
    asked?.Monitor === undefined || asked.Monitor === 0 ? usualMonitorMs : nanosToMs(asked.Monitor)
  // Without a config one at a time; with one, an absent or zero parallelism is all at once.
  const parallelism = asked === undefined ? 1 : (asked.Parallelism ?? 0)
  return {
    parallelism: parallelism === 0 ? Number.POSITIVE_INFINITY : parallelism,
    delayMs,
    failureAction: asked?.FailureAction ?? "pause",
    // A delay that outlasts the watch would hide failures of the slot before.
    monitorMs: delayMs >= monitorMs ? delayMs + 1_000 : monitorMs,
    maxFailureRatio: asked?.MaxFailureRatio ?? 0,
    order: isExclusive(service.Spec) ? "stop-first" : (asked?.Order ?? "stop-first")
  }
}

/** The task that the update under way made for this slot, if it has come to it. */
function madeByUpdate(service: Service, slot: Slot, since: number): Task | undefined {
  const first = slot.tasks.find(
    (task) => task.SpecVersion === service.SpecVersion && toMs(task.CreatedAt) >= since
  )
  // The update's own tasks are created to wait for the one before them; the first task of a new slot is not.
  return first?.StartAfter === undefined ? undefined : first
}

/** When a task made by the update had its slot done: it runs, or has ended without. By the leader's clock. */
function doneAt(view: View, task: Task): number | undefined {
  const seen = view.sightings.get(task.ID)
  if (seen !== undefined) return seen.at
  if (task.Status.State === "running" || isTerminal(task.Status.State) || !isWanted(task)) {
    return toMs(task.UpdatedAt)
  }
  return undefined
}

function hasFailed(view: View, task: Task, monitorMs: number): boolean {
  const { State } = task.Status
  if (State !== "failed" && State !== "rejected" && State !== "complete") return false
  const seen = view.sightings.get(task.ID)
  if (seen !== undefined) return toMs(task.Status.Timestamp) - toMs(seen.stamp) <= monitorMs
  // Never seen to run by who looks since it was created: it failed before it did, which is early in any case.
  // What ran before we looked ran no longer than it exists, by the leader's clock, where the node's is ahead of it; and by
  // the node's, where that was heard late because nobody led.
  const existedMs = Math.min(toMs(task.UpdatedAt), toMs(task.Status.Timestamp)) - toMs(task.CreatedAt)
  return toMs(task.CreatedAt) >= view.watchingSince || existedMs <= monitorMs
}

/**
 * Continues, starts, pauses, turns or completes the update of `slots`, which are all that the service keeps.
 * Returns false when the draft holds a change of direction that everything else must wait for.
 */
export function judge(
  view: View,
  slots: ReadonlyArray<Slot>,
  draft: Draft,
  dirty: (task: Task) => boolean
): boolean {
  const { service } = view
  const status = service.UpdateStatus
  if (!isUnderWay(status)) return true
  const rollsBack = isRollingBack(status)
  const pace = paceOf(service, rollsBack)
  if (pace.failureAction === "continue") return true
  const since = toMs(status?.StartedAt)
  let total = 0
  const failed: Array<Task> = []
  for (const slot of slots) {
    const made = madeByUpdate(service, slot, since)
    if (made !== undefined || needsUpdate(view, slot, dirty)) total += 1
    if (made !== undefined && hasFailed(view, made, pace.monitorMs)) failed.push(made)
  }
  if (failed.length === 0 || failed.length / total <= pace.maxFailureRatio) return true
  const [latest] = failed.sort((a, b) => toMs(b.Status.Timestamp) - toMs(a.Status.Timestamp))
  const because = `due to failure or early termination of task ${latest?.ID}`
  if (rollsBack) {
    draft.progress = {
      status: { ...status, State: "rollback_paused", Message: `rollback paused ${because}` }
    }
  } else if (pace.failureAction === "rollback" && service.PreviousSpec !== undefined) {
    const conflict = conflictOf(view.ledger, service.ID, service.PreviousSpec)
    if (conflict !== undefined) {
      const Message = `update paused ${because}; cannot roll back: ${plainWords(conflict)}`
      draft.progress = { status: { ...status, State: "paused", Message } }
      return false
    }
    draft.progress = {
      status: {
        State: "rollback_started",
        StartedAt: toIso(view.written),
        Message: `update rolled back ${because}`
      },
      rollback: true
    }
  } else {
    draft.progress = { status: { ...status, State: "paused", Message: `update paused ${because}` } }
  }
  return false
}

/** The slot has no task of the present spec, or has others beside it. One that is left to an older one has had its tries. */
function needsUpdate(view: View, slot: Slot, dirty: (task: Task) => boolean): boolean {
  if (slot.wanted.length === 0) return dirty(slot.newest)
  return slot.wanted.some(dirty) && (slot.newest.Status.State === "complete" || !isSpent(view, slot, dirty))
}

/** The present spec's last task in the slot has ended, and its policy leaves it at that. */
const isSpent = (view: View, { tasks, newest }: Slot, dirty: (task: Task) => boolean): boolean =>
  !isWanted(newest) && endedItself(newest) && !dirty(newest) && !mayRestart(view, tasks, newest)

/** Moves the update on by as many slots as its pace allows, and completes it when all are done and watched. */
export function plan(
  view: View,
  slots: ReadonlyArray<Slot>,
  draft: Draft,
  dirty: (task: Task) => boolean
): void {
  const { service, now } = view
  const status = service.UpdateStatus
  if (isPaused(status)) return
  for (const slot of slots) settleDuplicates(view, slot, draft, dirty)

  const underWay = isUnderWay(status)
  const waiting = slots.filter((slot) => needsUpdate(view, slot, dirty))
  if (!underWay && waiting.length === 0) return
  if (!underWay) {
    draft.progress = {
      status: { State: "updating", StartedAt: toIso(view.written), Message: "update in progress" }
    }
  }
  const since = underWay ? toMs(status?.StartedAt) : view.written
  const pace = paceOf(service, isRollingBack(status))
  let busy = 0
  let watched = 0
  for (const slot of slots) {
    const made = madeByUpdate(service, slot, since)
    if (made === undefined) continue
    const at = doneAt(view, made)
    if (at === undefined) {
      busy += 1
      continue
    }
    watched = Math.max(watched, leftOf(pace.delayMs + pace.monitorMs, at, now))
    const left = leftOf(pace.delayMs, at, now)
    if (left > 0) {
      busy += 1
      draft.wake(now + left)
    }
  }

  let open = 0
  for (const slot of waiting) {
    const current = slot.wanted.filter((task) => !dirty(task))
    if (current.length > 0) {
      open += 1
      handOver(slot, current, pace, draft, dirty)
    } else if (isSpent(view, slot, dirty)) {
      // What its policy calls done has done its work.
      open += 1
      for (const task of slot.wanted) draft.want(task, "shutdown")
    } else if (busy < pace.parallelism) {
      open += 1
      busy += 1
      renew(view, slot, pace, draft)
    } else {
      open += 1
    }
  }
  if (open > 0 || busy > 0 || !underWay) return

  if (watched > 0) {
    draft.wake(now + watched)
    return
  }
  const rollsBack = isRollingBack(status)
  draft.progress = {
    status: {
      ...status,
      State: rollsBack ? "rollback_completed" : "completed",
      CompletedAt: toIso(now),
      Message: rollsBack ? "rollback completed" : "update completed"
    }
  }
}

/** Puts the new task into a slot: after the old one has stopped, or before it is told to. */
function renew(view: View, slot: Slot, pace: Pace, draft: Draft): void {
  if (draft.fills(slot.key)) return
  if (pace.order === "start-first") {
    draft.fill(slot.key, newTask(view, slot.key, "running", view.now))
    return
  }
  const mustStop = isTaken(view, slot.key, slot)
  for (const task of slot.wanted) draft.want(task, "shutdown")
  draft.fill(slot.key, newTask(view, slot.key, mustStop ? "ready" : "running", view.now))
}

/** The slot has its new task beside old ones: these go, under start-first once the new one runs. */
function handOver(
  slot: Slot,
  current: ReadonlyArray<Task>,
  pace: Pace,
  draft: Draft,
  dirty: (task: Task) => boolean
): void {
  const runs = current.some((task) => task.Status.State === "running")
  if (!runs && pace.order === "start-first") return
  for (const task of slot.wanted) if (dirty(task)) draft.want(task, "shutdown")
}

/**
 * A slot holds one task of the present spec and one of those before: of several, the one that has come furthest, then
 * the oldest. What an overtaken update leaves would hold the room that the next one needs.
 */
function settleDuplicates(view: View, slot: Slot, draft: Draft, dirty: (task: Task) => boolean): void {
  if (slot.wanted.length < 2) return
  // One that loses its place goes when the other has taken it.
  const live = slot.wanted.filter((task) => isLive(task.Status.State) && standing(view, task) === "fine")
  keepBest(
    live.filter((task) => !dirty(task)),
    draft
  )
  keepBest(live.filter(dirty), draft)
}

function keepBest(tasks: ReadonlyArray<Task>, draft: Draft): void {
  if (tasks.length < 2) return
  const best = tasks.find((task) => task.Status.State === "running") ?? tasks[0]
  for (const task of tasks) if (task !== best) draft.want(task, "shutdown")
}
