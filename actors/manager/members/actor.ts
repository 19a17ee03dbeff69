/**
 * Keeps the Raft group to what the ledger says of managers, at `leader/members/main`: adds who was let in or
 * promoted, removes who was demoted, and writes down who leads and who can be reached.
 */
import { Effect } from "effect"
import type { Command } from "#actors/ledger/commands.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { Ledger } from "#actors/ledger/service.ts"
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
import { nextChange, observed, risenLevel } from "#actors/manager/members/choose.ts"
import type { ChangeOutcome, GroupChange, GroupView } from "#actors/raft/protocol.ts"
import { later } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface MembersProps {
  readonly ledger: LedgerReader
  /** This leader's name in the group. */
  readonly raftId: string
}

export type MembersMessage =
  | { readonly _tag: "LookAgain" }
  | { readonly _tag: "GroupSeen"; readonly group: GroupView }
  | { readonly _tag: "Changed"; readonly change: GroupChange; readonly outcome: ChangeOutcome }
  | Proposed

export type MembersAction =
  /** Answered by `GroupSeen`. */
  | { readonly _tag: "View" }
  /** Answered by `Changed`. */
  | { readonly _tag: "Change"; readonly change: GroupChange }
  | Propose

export interface MembersState extends MembersProps {
  readonly writing: Writing
  readonly changing: boolean
  /** Why the last change was not carried out. */
  readonly problem: string | undefined
}

type MembersStep = Step<MembersState, MembersAction>
const stay = stayWith<MembersState, MembersAction>

/** A demoted manager is gone, and one that fell silent is said to be so, within a second. */
const everyMs = 500
const look: MembersMessage = { _tag: "LookAgain" }
const again = later("look", everyMs, look)

export function start(props: MembersProps, _moment: Moment): MembersStep {
  return stay({ ...props, writing: idle, changing: false, problem: undefined }, { _tag: "View" }, again)
}

export function decide(state: MembersState, message: MembersMessage, _moment: Moment): MembersStep {
  switch (message._tag) {
    case "LookAgain":
      return stay(state, { _tag: "View" }, again)
    case "GroupSeen":
      return judge(state, message.group)
    case "Changed": {
      const { outcome } = message
      const problem = outcome._tag === "Refused" ? outcome.reason : undefined
      return stay({ ...state, changing: false, problem }, ...(outcome._tag === "Changed" ? [view] : []))
    }
    case "Proposed":
      return stay({ ...state, writing: settle(state.writing, message.outcome).writing })
  }
}

const view: MembersAction = { _tag: "View" }

function judge(state: MembersState, group: GroupView): MembersStep {
  const { ledger, raftId } = state
  const actions: Array<MembersAction> = []
  let next = state
  const commands = mayWrite(state.writing) ? commandsFor(state, group) : []
  if (commands.length > 0) {
    next = { ...next, writing: writing(next.writing) }
    actions.push(propose("the group's members as seen now", commands))
  }
  const change = state.changing ? undefined : nextChange(ledger.all("node"), group, raftId)
  if (change !== undefined) {
    next = { ...next, changing: true }
    actions.push({ _tag: "Change", change })
  }
  return stay(next, ...actions)
}

function commandsFor({ ledger, raftId }: MembersProps, group: GroupView): ReadonlyArray<Command> {
  const nodes = observed(ledger.all("node"), group, raftId)
  const level = risenLevel(ledger.all("node"), ledger.cluster())
  return [
    ...(nodes.length === 0 ? [] : [{ type: "node.observe", v: 1, nodes } as const]),
    ...(level === undefined ? [] : [{ type: "cluster.raise", v: 1, level } as const])
  ]
}

const perform = Effect.fn("members.perform")(function* (
  action: MembersAction,
  self: Address
): Effect.fn.Return<MembersMessage, never, Ledger> {
  if (action._tag === "Propose") return yield* carryOut(action, self)
  const { group } = yield* Ledger
  if (action._tag === "View") return { _tag: "GroupSeen", group: group.view() }
  const { change } = action
  return { _tag: "Changed", change, outcome: yield* group.change(change) }
})

export const members = actor<MembersProps, MembersState, MembersMessage, MembersAction, Ledger>({
  kind: "members",
  start,
  decide,
  perform,
  summary: ({ problem }) => problem ?? "as the ledger wants it"
})
