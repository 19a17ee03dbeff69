/** The daemon's flight recorder: what it keeps, where it is written down, and that a crash of the process leaves one. */
import { join } from "node:path"
import process from "node:process"
import { Effect, type Scope } from "effect"
import { keepHistory, secretFields } from "#actors/ledger/history.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { describeError } from "#runtime/cell.ts"
import type { Host } from "#runtime/host.ts"
import { FlightRecorder } from "#runtime/recorder.ts"
import { type Written, writeRecording } from "#runtime/recorder-file.ts"
import type { TreeEvent } from "#runtime/slots.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface FlightRecorderOptions {
  readonly dataDir: string
  readonly clusterId: string
  readonly nodeId: string
  readonly host: Host
  /** Its history is recorded once for all actors that read it; a worker has none. */
  readonly ledger: LedgerService | undefined
  /** What it may take in memory; 0 for none. */
  readonly maxBytes: number
}

export interface RunningRecorder {
  readonly recorder: FlightRecorder
  readonly dump: (lines: Iterable<string>) => Written
}

/** As shells count SIGINT and SIGTERM: nothing has crashed. */
const orderly = new Set([0, 130, 143])

/** Records until the scope closes. A process that ends with an error before that writes its recording down first. */
export const openFlightRecorder = Effect.fn("recorder.open")(function* (
  options: FlightRecorderOptions
): Effect.fn.Return<RunningRecorder | undefined, never, Scope.Scope> {
  const { nodeId, clusterId, host, ledger, maxBytes } = options
  if (maxBytes === 0) return undefined
  const shared =
    ledger &&
    (yield* Effect.acquireRelease(
      Effect.sync(() => keepHistory(ledger)),
      (history) => Effect.sync(() => history.stop())
    ))
  const recorder = new FlightRecorder({
    nodeId,
    cluster: clusterId,
    maxBytes,
    secretFields,
    ...(shared && { shared })
  })
  const dump = (lines: Iterable<string>): Written =>
    writeRecording(join(options.dataDir, "recordings"), host.now(), lines)
  const onExit = (code: number): void => {
    if (orderly.has(code)) return
    try {
      console.error(`The flight recording is in ${dump(recorder.lines(host.now())).path}`)
    } catch (error) {
      console.error(`The flight recording cannot be written: ${wordsOf(error)}`)
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("exit", onExit)),
    () => Effect.sync(() => process.off("exit", onExit))
  )
  return { recorder, dump }
})

/** How many of its last decisions are told with a crash. */
const told = 8

/** A tree's event as one line of the log; a crash with what its actor had decided about before. */
export function showEvent(event: TreeEvent, recorder: FlightRecorder | undefined): string {
  const lately = event._tag === "Crashed" && recorder ? { lately: recorder.recentOf(event.name, told) } : {}
  const line = (error: unknown): string =>
    JSON.stringify({ ...event, error, ...lately }, (_, value) =>
      value instanceof Error ? value.message : value
    )
  try {
    return line(event.error)
  } catch {
    // Anything can be thrown, also what JSON cannot say.
    return line(describeError(event.error))
  }
}
