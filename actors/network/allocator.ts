/**
 * The allocator, `leader/allocator/main`: gives networks, services and tasks what `allot` works out for them.
 * Tasks leave the state `new` here.
 */

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
import { allot } from "#actors/network/allot.ts"
import { cancel, later } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface AllocatorProps {
  readonly ledger: LedgerReader
}

/** `Look`: something waits for addresses, or gave some back. */
export type AllocatorMessage = { readonly _tag: "Look" } | Proposed

export interface AllocatorState {
  readonly ledger: LedgerReader
  readonly writing: Writing
}

type AllocatorStep = Step<AllocatorState, Propose>
const stay = stayWith<AllocatorState, Propose>
const look: AllocatorMessage = { _tag: "Look" }

export function start(props: AllocatorProps, _moment: Moment): AllocatorStep {
  return lookNow({ ledger: props.ledger, writing: idle })
}

export function decide(state: AllocatorState, message: AllocatorMessage, _moment: Moment): AllocatorStep {
  if (message._tag === "Look") return mayWrite(state.writing) ? lookNow(state) : stay(state)
  const { writing: settled, afterMs } = settle(state.writing, message.outcome)
  const next = { ...state, writing: settled }
  if (afterMs === undefined) return stay(next, cancel("look"))
  return afterMs === 0 ? lookNow(next) : stay(next, later("look", afterMs, look))
}

function lookNow(state: AllocatorState): AllocatorStep {
  const commands = allot(state.ledger)
  if (commands.length === 0) return stay(state)
  const why = commands.map((command) => command.type).join(", ")
  return stay({ ...state, writing: writing(state.writing) }, propose(why, commands))
}

function summary(state: AllocatorState): string {
  let waiting = 0
  for (const _ of state.ledger.tasksInState("new")) waiting += 1
  return waiting === 0 ? "nothing waits" : `${waiting} tasks wait for addresses`
}

/** At `leader/allocator/main`. */
export const allocator = actor<AllocatorProps, AllocatorState, AllocatorMessage, Propose, Ledger>({
  kind: "allocator",
  start,
  decide,
  perform: carryOut,
  summary
})
