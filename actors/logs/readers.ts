/** The open logs of a node: read on in batches, because what reads them answers one question at a time. */
import { Buffer } from "node:buffer"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { Executor, type ExecutorError, type LogLine } from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"
import { choose } from "#actors/logs/choose.ts"
import { LogCopies } from "#actors/logs/copies/keep.ts"
import type { Source, WantedTasks } from "#actors/logs/decide.ts"
import { cut, fromEngine, fromMemory, type Lines, orWhenGone, type Part } from "#actors/logs/lines.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import type { LogRequest, LogsAnswer, WireLine } from "#actors/logs/protocol.ts"

// base64 makes 4 bytes of 3, and a message must stay well below the transport's limit of 1 MiB.
const mostBytes = 256 * 1024
const mostLines = 500
const mostKept = 1_000

export interface ReadResult {
  readonly lines: ReadonlyArray<WireLine>
  readonly ended: boolean
  readonly problem?: string
}

export interface LogReadersService {
  /** The next lines, at least one unless the log has ended; opens the log at the first call. Never fails. */
  readonly readOn: (subscription: string, source: Source) => Effect.Effect<ReadResult>
  /** The tasks of which lines are kept, and copies; the most that one answer takes. */
  readonly kept: (wanted: WantedTasks) => Effect.Effect<Extract<LogsAnswer, { _tag: "Kept" }>>
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
      const memory = yield* LogMemory
      const copies = yield* LogCopies
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

      const linesOf = Effect.fnUntraced(function* (
        task: string,
        known: string | undefined,
        request: LogRequest
      ) {
        const remembered = (): Lines => fromMemory(memory, task, request)
        const source = choose(memory.about(task), request)
        if (source === "memory") return remembered()
        const container = known ?? (yield* containerOf(task))
        // Removed, or not made yet: what is not remembered either is nothing, which is no problem.
        if (container === undefined) return remembered()
        if (source === "memory after the Engine" && (yield* isCaughtUp(task, container))) return remembered()
        return orWhenGone(yield* fromEngine(executor, container, request), remembered)
      })

      const containerOf = (task: string): Effect.Effect<string | undefined, ExecutorError> =>
        Effect.map(
          executor.list,
          (containers) => containers.find(({ labels }) => labels[taskLabel] === task)?.id
        )

      const isCaughtUp = (task: string, container: string): Effect.Effect<boolean, ExecutorError> =>
        memory
          .catchUp(task, container)
          .pipe(Effect.catch((error) => (error.status === 404 ? Effect.succeed(true) : Effect.fail(error))))

      /** A copy is as long as it is: who follows it is told that it ends. */
      const copied = (node: string, task: string, request: LogRequest): Lines => {
        const about = () => {
          const log = copies?.find(node, task)
          return log && { log, state: "ended" as const }
        }
        return fromMemory({ about }, task, request)
      }

      const readOn: LogReadersService["readOn"] = (subscription, { task, container, copyOf, request }) =>
        Effect.gen(function* () {
          let reader = open.get(subscription)
          if (reader === undefined) {
            const scope = yield* Scope.make()
            const lines =
              copyOf === undefined
                ? yield* linesOf(task, container, request).pipe(Scope.provide(scope))
                : copied(copyOf, task, request)
            reader = { scope, lines, rest: [] }
            open.set(subscription, reader)
          }
          return yield* next(reader)
        }).pipe(
          Effect.catch(({ status, message }) =>
            // A container that went away is no problem either.
            Effect.succeed({ lines: [], ended: true, ...(status === 404 ? {} : { problem: message }) })
          )
        )

      const kept: LogReadersService["kept"] = (wanted) =>
        Effect.map(memory.tasks, (tasks) => ({
          _tag: "Kept",
          tasks: tasks
            .filter(({ service }) => wanted.service === undefined || service === wanted.service)
            .filter(({ task }) => wanted.task === undefined || task.startsWith(wanted.task))
            .slice(0, mostKept),
          ...(copies !== undefined && { copies: copies.kept(wanted).slice(0, mostKept) })
        }))

      return { readOn, kept, shut, shutAll }
    })
  )
}

interface Reader {
  readonly scope: Scope.Closeable
  readonly lines: Lines
  /** Read already, but too much for one batch. */
  rest: Part
}

const next = (reader: Reader): Effect.Effect<ReadResult, ExecutorError> =>
  Effect.gen(function* () {
    const part = reader.rest.length > 0 ? reader.rest : yield* reader.lines
    if (part === undefined) return { lines: [], ended: true }
    const [lines, rest] = cut(part, mostLines, mostBytes)
    reader.rest = rest
    return { lines: lines.map(toWire), ended: false }
  })

const toWire = ({ stream, timestamp, details, line }: LogLine): WireLine => ({
  stream,
  timestamp,
  details,
  data: Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("base64")
})
