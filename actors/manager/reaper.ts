/**
 * The reaper, `leader/reaper/main`: deletes tasks that nothing is to be remembered of and history beyond its
 * limit, a quarter of a second after the first sign, in one entry.
 */
import type { Command, TaskPatch } from "#actors/ledger/commands.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Ledger } from "#actors/ledger/service.ts"
import {
  idle,
  mayWrite,
  type Propose,
  type Proposed,
  propose,
  settle,
  type Writing,
  writing
} from "#actors/ledger/writer.ts"
import { type Task, taskStates } from "#actors/model/objects.ts"
import { isBefore } from "#actors/model/task-state.ts"
import { attemptsOf, historyOf, isAtRest, isDisposable, prune } from "#actors/service/prune.ts"
import { slotKeyOf } from "#actors/service/slot.ts"
import { later } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface ReaperProps {
  readonly ledger: LedgerReader
}

export type ReaperMessage =
  /** These tasks were created, have ended, or are not wanted any more. */
  | { readonly _tag: "Touched"; readonly tasks: ReadonlyArray<Task> }
  /** Changes may have been missed: every task is looked at that may be one to delete. */
  | { readonly _tag: "Scan" }
  | { readonly _tag: "Sweep" }
  | Proposed

/** Belongs to this actor alone; the map changes in place. */
export interface ReaperState {
  readonly ledger: LedgerReader
  readonly writing: Writing
  /** Tasks to look at, by id, with the slot each was in. */
  readonly touched: Map<string, Task>
  readonly sweeping: boolean
}

type ReaperStep = Step<ReaperState, Propose>
const stay = stayWith<ReaperState, Propose>

const sweepAfterMs = 250
/** With more than this to look at there is no waiting. */
const sweepAtOnce = 1_000
/** One entry of the log deletes no more than this. */
const mostAtOnce = 5_000
const sweep: ReaperMessage = { _tag: "Sweep" }

export function start(props: ReaperProps, _moment: Moment): ReaperStep {
  return scan({ ledger: props.ledger, writing: idle, touched: new Map(), sweeping: false })
}

export function decide(state: ReaperState, message: ReaperMessage, _moment: Moment): ReaperStep {
  switch (message._tag) {
    case "Touched":
      for (const task of message.tasks) state.touched.set(task.ID, task)
      return schedule(state)
    case "Scan":
      return scan(state)
    case "Sweep":
      return sweepNow({ ...state, sweeping: false })
    case "Proposed": {
      const { writing: settled, afterMs } = settle(state.writing, message.outcome)
      const next = { ...state, writing: settled }
      if (message.outcome._tag === "Applied") return schedule(next)
      // What was not deleted is found again by looking at everything.
      return afterMs === undefined
        ? stay(next)
        : stay(next, later("scan", Math.max(sweepAfterMs, afterMs), scanAgain))
    }
  }
}

const scanAgain: ReaperMessage = { _tag: "Scan" }

/** Nearly all tasks run, and have a service: those there may be a million of. */
function scan(state: ReaperState): ReaperStep {
  const { ledger, touched } = state
  const touch = (tasks: Iterable<Task>): void => {
    for (const task of tasks) touched.set(task.ID, task)
  }
  for (const at of taskStates) if (isAtRest(at)) touch(ledger.tasksInState(at))
  for (const id of ledger.servicesOfTasks()) {
    if (ledger.get("service", id) === undefined) touch(ledger.tasksOfService(id))
  }
  return schedule(state)
}

function schedule(state: ReaperState): ReaperStep {
  if (state.touched.size === 0 || !mayWrite(state.writing)) return stay(state)
  if (state.touched.size > sweepAtOnce) return sweepNow(state)
  if (state.sweeping) return stay(state)
  return stay({ ...state, sweeping: true }, later("sweep", sweepAfterMs, sweep))
}

function sweepNow(state: ReaperState): ReaperStep {
  if (!mayWrite(state.writing)) return stay(state)
  const { ledger, touched } = state
  const remove = new Set<string>()
  const update: Array<TaskPatch> = []
  const slots = new Set<string>()
  for (const [id, was] of touched) {
    if (remove.size >= mostAtOnce) break
    touched.delete(id)
    const task = ledger.get("task", id)
    if (task !== undefined && isDisposable(ledger, task)) remove.add(id)
    else if (task !== undefined && ledger.get("service", task.ServiceID) === undefined) {
      if (isBefore(task.DesiredState, "remove")) update.push({ id, DesiredState: "remove" })
    }
    const key = `${was.ServiceID} ${slotKeyOf(was)}`
    if (slots.has(key)) continue
    slots.add(key)
    for (const old of historyBeyondLimit(ledger, was)) remove.add(old.ID)
  }
  if (remove.size + update.length === 0) return schedule(state)
  const command: Command = { type: "tasks.change", v: 1, create: [], update, remove: [...remove] }
  return stay(
    { ...state, writing: writing(state.writing) },
    propose(`${remove.size} tasks reaped`, [command])
  )
}

function historyBeyondLimit(ledger: LedgerReader, was: Task): ReadonlyArray<Task> {
  const service = ledger.get("service", was.ServiceID)
  if (service === undefined) return []
  const slot: Array<Task> = []
  if (was.Slot !== undefined) slot.push(...ledger.tasksInSlot(was.ServiceID, was.Slot))
  else if (was.NodeID !== undefined) {
    for (const task of ledger.tasksOfNode(was.NodeID)) if (task.ServiceID === was.ServiceID) slot.push(task)
  }
  return prune(
    slot.filter((task) => !isDisposable(ledger, task)),
    historyOf(ledger, service),
    attemptsOf(service)
  )
}

/** At `leader/reaper/main`. */
export const reaper = actor<ReaperProps, ReaperState, ReaperMessage, Propose, Ledger>({
  kind: "reaper",
  mailbox: { capacity: 262_144 },
  start,
  decide,
  perform: carryOut,
  summary: (state) => `${state.touched.size} tasks to look at`
})
