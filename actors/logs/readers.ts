/** The open logs of a node: read on in batches, because what reads them answers one question at a time. */
import { Buffer } from "node:buffer"
import { type Cause, Context, Effect, Exit, Layer, Option, Pull, Queue, Scope, Stream } from "effect"
import { Executor, type ExecutorError, type LogLine } from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"
import type { LogRequest, WireLine } from "#actors/logs/protocol.ts"

// base64 makes 4 bytes of 3, and a message must stay well below the transport's limit of 1 MiB.
const mostBytes = 256 * 1024
/** Read ahead per log. The Engine cuts lines at 16 KiB, and most have a hundredth of that. */
const mostLines = 500

export interface ReadResult {
  readonly lines: ReadonlyArray<WireLine>
  readonly ended: boolean
  readonly problem?: string
}

export interface LogReadersService {
  /** The next lines, at least one unless the log has ended; opens the log at the first call. Never fails. */
  readonly readOn: (
    subscription: string,
    task: string,
    container: string | undefined,
    request: LogRequest
  ) => Effect.Effect<ReadResult>
  readonly shut: (subscription: string) => Effect.Effect<void>
  readonly shutAll: Effect.Effect<void>
}

export class LogReaders extends Context.Service<LogReaders, LogReadersService>()(
  "troupe/actors/logs/LogReaders"
) {
  static readonly layer = Layer.effect(
    LogReaders,
    Effect.gen(function* () {
      const executor = yield* Executor
      const open = new Map<string, Reader>()
      const shut = (subscription: string): Effect.Effect<void> =>
        Effect.suspend(() => {
          const reader = open.get(subscription)
          if (reader === undefined) return Effect.void
          open.delete(subscription)
          return Effect.asVoid(Scope.close(reader.scope, Exit.void))
        })
      const shutAll = Effect.suspend(() => Effect.forEach([...open.keys()], shut, { discard: true }))
      yield* Effect.addFinalizer(() => shutAll)

      const readOn: LogReadersService["readOn"] = (subscription, task, container, request) =>
        Effect.gen(function* () {
          let reader = open.get(subscription)
          if (reader === undefined) {
            const id = container ?? (yield* containerOf(task))
            // Removed, or not made yet: there is nothing to read, which is no problem.
            if (id === undefined) return { lines: [], ended: true }
            const scope = yield* Scope.make()
            // The Engine sends line by line; what arrives while a batch is on its way makes up the next one.
            const lines = yield* Queue.bounded<LogLine, ExecutorError | Cause.Done>(mostLines)
            yield* executor.logs(id, options(request)).pipe(Stream.runIntoQueue(lines), Effect.forkIn(scope))
            // Frees a read that waits for a line when the log is shut.
            yield* Scope.addFinalizer(scope, Queue.end(lines))
            reader = { scope, lines, rest: [] }
            open.set(subscription, reader)
          }
          return yield* next(reader)
        }).pipe(
          Effect.catch((error) =>
            // The container went away between its listing and now.
            Effect.succeed(
              error.status === 404
                ? { lines: [], ended: true }
                : { lines: [], ended: true, problem: error.message }
            )
          )
        )

      const containerOf = (task: string): Effect.Effect<string | undefined, ExecutorError> =>
        Effect.map(
          executor.list,
          (containers) => containers.find(({ labels }) => labels[taskLabel] === task)?.id
        )

      return { readOn, shut, shutAll }
    })
  )
}

interface Reader {
  readonly scope: Scope.Closeable
  readonly lines: Queue.Dequeue<LogLine, ExecutorError | Cause.Done>
  /** Read already, but too much for one batch. */
  rest: ReadonlyArray<LogLine>
}

const next = (reader: Reader): Effect.Effect<ReadResult, ExecutorError> =>
  Effect.gen(function* () {
    let lines = reader.rest
    if (lines.length === 0) {
      const pulled = yield* Queue.takeAll(reader.lines).pipe(
        Effect.map((taken) => Option.some<ReadonlyArray<LogLine>>(taken)),
        Pull.catchDone(() => Effect.succeed(Option.none<ReadonlyArray<LogLine>>()))
      )
      if (Option.isNone(pulled)) return { lines: [], ended: true }
      lines = pulled.value
    }
    let count = 0
    for (let bytes = 0; count < lines.length && count < mostLines; count++) {
      bytes += (lines[count]?.line.length ?? 0) + 64
      if (bytes > mostBytes && count > 0) break
    }
    reader.rest = lines.slice(count)
    return { lines: lines.slice(0, count).map(toWire), ended: false }
  })

const options = (request: LogRequest) => ({ ...request, tail: request.tail ?? ("all" as const) })

const toWire = ({ stream, timestamp, details, line }: LogLine): WireLine => ({
  stream,
  timestamp,
  details,
  data: Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("base64")
})
