/** The scheduler's turns: all tasks that wait are placed together, and what fails is remembered for a while. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { idle, mayWrite, propose, settle, type Writing, writing } from "#actors/ledger/writer.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { place } from "#actors/scheduler/place.ts"
import type { SchedulerAction, SchedulerMessage, SchedulerProps } from "#actors/scheduler/protocol.ts"
import { queue } from "#actors/scheduler/queue.ts"
import { cancel, later } from "#runtime/actions.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface SchedulerState {
  readonly ledger: LedgerReader
  readonly writing: Writing
  /** Belongs to this actor alone and changes in place. */
  readonly failures: Failures
  /** Tasks that found no node at the last look. */
  readonly waiting: number
  readonly lookedAt: number
}

type SchedulerStep = Step<SchedulerState, SchedulerAction>
const stay = stayWith<SchedulerState, SchedulerAction>

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
      failures: Failures.of(props.ledger, moment.now),
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
      const isNews = state.ledger.view(queue).size > state.waiting
      if (state.waiting > 0 && rest > 0 && !isNews) return stay(state, later("look", rest, look))
      return lookNow(state, moment)
    }
    case "Failed": {
      state.failures.add(message.serviceId, message.specVersion, message.nodeId, message.at)
      return stay(state)
    }
    case "Proposed": {
      const { writing: settled, afterMs } = settle(state.writing, message.outcome)
      const next = { ...state, writing: settled }
      if (afterMs === undefined) return stay(next, cancel("look"))
      return afterMs === 0 ? lookNow(next, moment) : stay(next, later("look", afterMs, look))
    }
  }
}

function lookNow(state: SchedulerState, moment: Moment): SchedulerStep {
  const { ledger, failures } = state
  const { size } = ledger.view(queue)
  const update = place(ledger, { now: moment.now, failures, most: mostAtOnce })
  const placed = update.filter((patch) => patch.Status?.State === "assigned").length
  const next = { ...state, lookedAt: moment.now, waiting: size - placed }
  if (update.length === 0) return stay(next)
  return stay(
    { ...next, writing: writing(next.writing) },
    propose(`${placed} of ${size} placed`, [{ type: "tasks.change", v: 1, create: [], update, remove: [] }])
  )
}

/** One line for the tree. */
export const summary = (state: SchedulerState): string =>
  state.waiting === 0 ? "nothing waits" : `${state.waiting} tasks wait for a node`
