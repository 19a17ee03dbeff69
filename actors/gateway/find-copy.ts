/** Which node has the copy of a task's log whose own node is gone. */
import { Effect, Schema } from "effect"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { rank } from "#actors/logs/copies/rank.ts"
import { takesCopies } from "#actors/logs/copies/seconds.ts"
import { LogsAnswer } from "#actors/logs/protocol.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

export interface FoundCopy {
  readonly holder: string
  /** The time of its last line. */
  readonly newest: string
}

const patienceMs = 1_000
/** The one that has it is among the first, unless so many nodes came since. */
const mostAsked = 8

const decodeAnswer = Schema.decodeUnknownEffect(LogsAnswer)

/** The nodes that may have a copy of `node`'s logs, the likeliest first. */
function holdersOf(reader: LedgerReader, node: string): ReadonlyArray<string> {
  const there: Array<string> = []
  for (const one of reader.all("node")) if (takesCopies(one)) there.push(one.ID)
  return rank(node, there, mostAsked)
}

/** The copy that goes farthest, of those that answer. */
export const findCopy = (
  { ledger, system }: { readonly ledger: LedgerService; readonly system: Pick<SystemService, "ask"> },
  node: string,
  task: string
): Effect.Effect<FoundCopy | undefined> =>
  Effect.forEach(
    holdersOf(ledger.read, node),
    (holder) =>
      system.ask<unknown>(address(holder, "logs", "main"), { _tag: "List", task }, patienceMs).pipe(
        Effect.flatMap(decodeAnswer),
        Effect.map((answer) => (answer._tag === "Kept" ? (answer.copies ?? []) : [])),
        Effect.catch(() => Effect.succeed([])),
        Effect.map((copies) => copies.find((copy) => copy.node === node && copy.task === task)),
        Effect.map((copy) => copy && { holder, newest: copy.newest })
      ),
    { concurrency: "unbounded" }
  ).pipe(
    Effect.map((found) =>
      found.reduce((best, copy) => (copy && (!best || copy.newest > best.newest) ? copy : best), undefined)
    )
  )
