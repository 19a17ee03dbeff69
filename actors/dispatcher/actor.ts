/** The dispatcher's actor: tells nodes what they should hold. */
import { type DispatcherState, decide, start, summary } from "#actors/dispatcher/decide.ts"
import type { DispatcherAction, DispatcherMessage, DispatcherProps } from "#actors/dispatcher/protocol.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import type { Ledger } from "#actors/ledger/service.ts"
import { actor } from "#runtime/actor.ts"

/** At `leader/dispatcher/main`. */
export const dispatcher = actor<
  DispatcherProps,
  DispatcherState,
  DispatcherMessage,
  DispatcherAction,
  Ledger
>({
  kind: "dispatcher",
  // Every node of a large cluster may speak at once after a leader change.
  mailbox: { capacity: 262_144 },
  start,
  decide,
  perform: carryOut,
  summary
})
