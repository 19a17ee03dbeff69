/** The scheduler's turns: all tasks that wait are placed together, and what fails is remembered for a while. */
import type { TaskPatch } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { idle, mayWrite, propose, settle, type Writing, writing } from "#actors/ledger/writer.ts"
import type { Task } from "#actors/model/objects.ts"
import { isBefore } from "#actors/model/task-state.ts"
import { toMs } from "#actors/model/time.ts"
import { failureKey, place } from "#actors/scheduler/place.ts"
import type { SchedulerAction, SchedulerMessage, SchedulerProps } from "#actors/scheduler/protocol.ts"
import { cancel, later } from "#runtime/actions.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface SchedulerState {
  readonly ledger: LedgerReader
  readonly writing: Writing
  /** Belongs to this actor alone and changes in place. */
  readonly failures: Map<string, ReadonlyArray<number>>
  readonly forgottenAt: number
  /** Tasks that found no node at the last look. */
  readonly waiting: number
  readonly lookedAt: number
}

type SchedulerStep = Step<SchedulerState, SchedulerAction>
const stay = stayWith<SchedulerState, SchedulerAction>

// Swarm's: failures count for five minutes.
const failuresWithinMs = 5 * 60_000
/** While tasks wait for room, every change may be the one they wait for: those looks come no faster than this. */
const strideMs = 100
/** One entry of the log assigns no more tasks than this; the rest follow at once. */
const mostAtOnce = 5_000

const look: SchedulerMessage = { _tag: "Look" }

export function start(props: SchedulerProps, moment: Moment): SchedulerStep {
  return lookNow(
    {
      ledger: props.ledger,
      writing: idle,
      failures: recentFailures(props.ledger, moment.now),
      forgottenAt: moment.now,
      waiting: 0,
      lookedAt: 0
    },
    moment
  )
}

export function decide(state: SchedulerState, message: SchedulerMessage, moment: Moment): SchedulerStep {
  switch (message._tag) {
    case "Look": {
      if (!mayWrite(state.writing)) return stay(state)
      const rest = state.lookedAt + strideMs - moment.now
      const isNews = countWaiting(state.ledger) > state.waiting
      if (state.waiting > 0 && rest > 0 && !isNews) return stay(state, later("look", rest, look))
      return lookNow(state, moment)
    }
    case "Failed": {
      const key = failureKey(message.serviceId, message.specVersion, message.nodeId)
      state.failures.set(key, [...(state.failures.get(key) ?? []), message.at])
      return stay(forget(state, moment.now))
    }
    case "Proposed": {
      const { writing: settled, afterMs } = settle(state.writing, message.outcome)
      const next = { ...state, writing: settled }
      if (afterMs === undefined) return stay(next, cancel("look"))
      return afterMs === 0 ? lookNow(next, moment) : stay(next, later("look", afterMs, look))
    }
  }
}

/** Those that still want a node; a job's tasks are wanted `complete`. */
const wantsNode = (task: Task): boolean => !isBefore("complete", task.DesiredState)

function countWaiting(ledger: LedgerReader): number {
  let waiting = 0
  for (const task of ledger.tasksInState("pending")) if (wantsNode(task)) waiting += 1
  return waiting
}

function lookNow(state: SchedulerState, moment: Moment): SchedulerStep {
  const pending: Array<Task> = []
  for (const task of state.ledger.tasksInState("pending")) if (wantsNode(task)) pending.push(task)
  const seen = { ...state, lookedAt: moment.now }
  if (pending.length === 0) return stay({ ...seen, waiting: 0 })
  const patches = place(state.ledger, { pending, now: moment.now, failures: state.failures })
  const placed = patches.filter((patch) => patch.Status?.State === "assigned").length
  const next = { ...seen, waiting: pending.length - placed }
  if (patches.length === 0) return stay(next)
  const update: ReadonlyArray<TaskPatch> = patches.slice(0, mostAtOnce)
  return stay(
    { ...next, writing: writing(next.writing) },
    propose(`${placed} of ${pending.length} placed`, [
      { type: "tasks.change", v: 1, create: [], update, remove: [] }
    ])
  )
}

/** Lets go of what is too old to count, now and then. */
function forget(state: SchedulerState, now: number): SchedulerState {
  if (now < state.forgottenAt + failuresWithinMs) return state
  for (const [key, times] of state.failures) {
    const recent = times.filter((time) => time > now - failuresWithinMs)
    if (recent.length === 0) state.failures.delete(key)
    else state.failures.set(key, recent)
  }
  return { ...state, forgottenAt: now }
}

/** What the ledger itself still knows of failures, for a scheduler that has just started. */
function recentFailures(ledger: LedgerReader, now: number): Map<string, ReadonlyArray<number>> {
  const failures = new Map<string, ReadonlyArray<number>>()
  for (const task of [...ledger.tasksInState("failed"), ...ledger.tasksInState("rejected")]) {
    if (task.NodeID === undefined) continue
    const at = toMs(task.Status.Timestamp)
    if (at <= now - failuresWithinMs) continue
    const key = failureKey(task.ServiceID, task.SpecVersion, task.NodeID)
    failures.set(key, [...(failures.get(key) ?? []), at])
  }
  return failures
}

/** One line for the tree. */
export const summary = (state: SchedulerState): string =>
  state.waiting === 0 ? "nothing waits" : `${state.waiting} tasks wait for a node`
