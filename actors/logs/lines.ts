/** The two places that a task's lines come from, the Engine and the node's memory, read a part at a time. */
import { type Cause, Effect, Pull, Queue, Scope, Stream } from "effect"
import type { ExecutorError, ExecutorService, LogLine } from "#actors/drivers/executor.ts"
import type { Cursor, TaskLog } from "#actors/drivers/log-store/task-log.ts"
import { toTimestamp } from "#actors/logs/choose.ts"
import { type LogMemoryService, more } from "#actors/logs/memory.ts"
import type { LogRequest } from "#actors/logs/protocol.ts"

export type Part = ReadonlyArray<LogLine>
/** The next lines, at least one; `undefined` at the end. */
export type Lines = Effect.Effect<Part | undefined, ExecutorError>

/** Read ahead of the Engine. It cuts lines at 16 KiB, and most have a hundredth of that. */
const mostAhead = 500

export const noLines: Lines = Effect.succeed(undefined)

/** A container's log as its Engine has it, for as long as the scope lasts. */
export const fromEngine = Effect.fnUntraced(function* (
  executor: ExecutorService,
  container: string,
  request: LogRequest
): Effect.fn.Return<Lines, never, Scope.Scope> {
  const scope = yield* Effect.scope
  // The Engine sends line by line; what arrives while a part is on its way makes up the next one.
  const queue = yield* Queue.bounded<LogLine, ExecutorError | Cause.Done>(mostAhead)
  const options = { ...request, tail: request.tail ?? ("all" as const) }
  yield* executor.logs(container, options).pipe(Stream.runIntoQueue(queue), Effect.forkIn(scope))
  // Frees a read that waits for a line when the log is shut.
  yield* Scope.addFinalizer(scope, Queue.end(queue))
  return Queue.takeAll(queue).pipe(
    Effect.map((taken): Part | undefined => taken),
    Pull.catchDone(() => Effect.succeed(undefined))
  )
})

/** What the node remembers; follows a task for as long as its output comes. */
export function fromMemory(
  memory: Pick<LogMemoryService, "about">,
  task: string,
  request: LogRequest
): Lines {
  const log = memory.about(task)?.log
  if (log === undefined) return noLines
  const wanted = select(request)
  const until = request.until === 0 ? undefined : toTimestamp(request.until)
  let cursor = begin(log, request)
  // Who does not follow reads what there is now, however fast more comes.
  const stop = request.follow ? undefined : log.end
  let isOver = false

  const step = (): { readonly lines: Part; readonly isLast: boolean } => {
    // Asked before reading: what came before the end is then read.
    const comes = request.follow && memory.about(task)?.state === "following"
    const lines: Array<LogLine> = []
    while (lines.length === 0 && !isOver) {
      // What the reader had before it may be gone.
      const from = cursor.block < log.start.block ? log.start : cursor
      const { lines: found, next } = log.read(from)
      if (found.length === 0 && next.block === from.block) break
      cursor = next
      const isLastBlock = stop !== undefined && from.block >= stop.block
      const read = isLastBlock ? found.slice(0, Math.max(0, stop.line - from.line)) : found
      isOver = isLastBlock || (until !== undefined && read.some(({ timestamp }) => timestamp > until))
      for (const line of read) if (wanted(line)) lines.push(line)
    }
    return { lines, isLast: isOver || !comes }
  }

  const next: Lines = Effect.suspend(() => {
    const { lines, isLast } = step()
    if (lines.length > 0) return Effect.succeed(lines)
    return isLast ? noLines : Effect.andThen(more(log), next)
  })
  return next
}

/** The tail is counted over both streams, before anything else is chosen, as the Engine does. */
function begin(log: TaskLog, { tail, since }: LogRequest): Cursor {
  if (tail !== undefined) return log.beforeLast(tail)
  return since === 0 ? log.start : log.notBefore(toTimestamp(since))
}

function select({ stdout, stderr, since, until }: LogRequest): (line: LogLine) => boolean {
  const from = since === 0 ? "" : toTimestamp(since)
  const to = until === 0 ? undefined : toTimestamp(until)
  return ({ stream, timestamp }) =>
    (stream === "stdout" ? stdout : stderr) && timestamp >= from && (to === undefined || timestamp <= to)
}

/** `first`, or `second` where the container that is read there first turns out to be gone. */
export function orWhenGone(first: Lines, second: () => Lines): Lines {
  let lines = first
  let isSure = false
  return Effect.suspend(() => lines).pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        isSure = true
      })
    ),
    Effect.catch((error) => {
      if (isSure || error.status !== 404) return Effect.fail(error)
      lines = second()
      isSure = true
      return lines
    })
  )
}

/** At most so many lines and bytes of a part, and the rest of it. */
export function cut(part: Part, mostLines: number, mostBytes: number): readonly [Part, Part] {
  let count = 0
  for (let bytes = 0; count < part.length && count < mostLines; count++) {
    bytes += (part[count]?.line.length ?? 0) + 64
    if (bytes > mostBytes && count > 0) break
  }
  return [part.slice(0, count), part.slice(count)]
}
