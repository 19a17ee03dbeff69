/** Where a `Propose` meets the ledger: the one action that most of the leader's actors have. */
import { Effect } from "effect"
import { Ledger, type WriteOutcome } from "#actors/ledger/service.ts"
import { split } from "#actors/ledger/split.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"
import { type Address, showAddress } from "#runtime/address.ts"
import { CurrentCause } from "#runtime/performer.ts"

/**
 * Carries out a `Propose`. Never fails: every way to end is an outcome. Without commands it writes nothing, and is applied
 * once this manager is known to lead still, which one that was held up for long may only believe.
 */
export const carryOut = Effect.fnUntraced(function* (
  action: Propose,
  self: Address
): Effect.fn.Return<Proposed, never, Ledger> {
  const ledger = yield* Ledger
  const cause = yield* CurrentCause
  // By this, `troupe trace` finds what led to the entry.
  const why = cause === undefined ? action.why : `${action.why} [message ${cause.id}]`
  const origin = { who: showAddress(self), why }
  let outcome: WriteOutcome = { _tag: "Applied", applied: { index: ledger.read.index } }
  if (action.commands.length === 0) outcome = yield* stillLeads(ledger)
  for (const command of action.commands.flatMap(split)) {
    outcome = yield* ledger.propose(command, origin)
    if (outcome._tag !== "Applied") break
  }
  return { _tag: "Proposed", why: action.why, outcome }
})

const stillLeads = (ledger: Ledger["Service"]): Effect.Effect<WriteOutcome> =>
  ledger.readIndex.pipe(
    Effect.match({
      onSuccess: (index): WriteOutcome => ({ _tag: "Applied", applied: { index } }),
      onFailure: ({ message }): WriteOutcome => ({ _tag: "Unknown", message })
    })
  )
