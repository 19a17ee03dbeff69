/** The scheduler's actor: places what is pending and writes where to the ledger. */

import { carryOut } from "#actors/ledger/proposer.ts"
import type { Ledger } from "#actors/ledger/service.ts"
import { decide, type SchedulerState, start, summary } from "#actors/scheduler/decide.ts"
import type { SchedulerAction, SchedulerMessage, SchedulerProps } from "#actors/scheduler/protocol.ts"
import { actor } from "#runtime/actor.ts"

/** At `leader/scheduler/main`. */
export const scheduler = actor<SchedulerProps, SchedulerState, SchedulerMessage, SchedulerAction, Ledger>({
  kind: "scheduler",
  start,
  decide,
  perform: carryOut,
  summary
})
