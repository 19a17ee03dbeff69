/** Keeps this manager's history from its start on, and finds that of before when somebody asks for it first. */
import { Worker } from "node:worker_threads"
import { Effect, type Scope } from "effect"
import { Journal } from "#actors/history/journal.ts"
import type { RebuildInput } from "#actors/history/rebuild.ts"
import type { RebuildAnswer } from "#actors/history/rebuild-thread.ts"
import { following } from "#actors/ledger/following.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { ownProgram } from "#runtime/platform.ts"

/** The history of a manager, as its doors ask for it. */
export interface HistoryKeeper {
  readonly journal: Journal
  /** Completes once all that can be told is in the journal; the log is read at the first time. Never fails. */
  readonly earlier: Effect.Effect<void>
}

/** Until the scope closes. `unlockKey` opens the log, where people keep the key. */
export const keepChanges = Effect.fn("history.keep")(function* (options: {
  readonly ledger: Pick<LedgerService, "read" | "follow">
  readonly dataDir: string
  readonly unlockKey: () => Uint8Array | undefined
}): Effect.fn.Return<HistoryKeeper, never, Scope.Scope> {
  const { ledger, dataDir } = options
  const upTo = ledger.read.index
  const journal = new Journal(upTo)
  yield* following(ledger, (set) => journal.take(set, ledger.read))
  const read = Effect.suspend(() => {
    const unlockKey = options.unlockKey()
    return inThread({ dataDir, upTo, ...(unlockKey !== undefined && { unlockKey }) })
  }).pipe(
    Effect.flatMap((answer) =>
      answer._tag === "Rebuilt"
        ? Effect.sync(() => journal.prepend(answer.rows, answer.after))
        : Effect.logWarning(`The history of before this start cannot be told: ${answer.message}`)
    )
  )
  const earlier = upTo === 0 ? Effect.void : yield* Effect.cached(read)
  return { journal, earlier }
})

const inThread = (input: RebuildInput): Effect.Effect<RebuildAnswer> =>
  Effect.callback((resume) => {
    const worker = new Worker(ownProgram("actors/history/rebuild-thread.ts"), { workerData: input })
    const failed = (message: string): void => resume(Effect.succeed({ _tag: "Failed", message }))
    worker.on("message", (answer: RebuildAnswer) => resume(Effect.succeed(answer)))
    worker.on("error", ({ message }) => failed(message))
    worker.on("exit", () => failed("the thread that reads the log ended"))
    return Effect.sync(() => void worker.terminate())
  })
