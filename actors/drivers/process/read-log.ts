/** A task's log files as a stream of lines, across files that are turned over while they are read. */
import { watch } from "node:fs"
import { type FileHandle, open, stat } from "node:fs/promises"
import { Effect, Queue, type Scope, Stream } from "effect"
import { ExecutorError, type LogLine, type LogOptions } from "#actors/drivers/executor.ts"
import { LogReader, logPath } from "#actors/drivers/process/log-file.ts"
import { toMs } from "#actors/model/time.ts"

const chunkBytes = 64 * 1024
/** The watch tells at once; this is for what it missed. */
const lookAgain = "250 millis"

const failed = (error: unknown): ExecutorError =>
  new ExecutorError({ operation: "logs", temporary: false, message: String((error as Error).message) })
const attempt = <A>(work: () => Promise<A>): Effect.Effect<A, ExecutorError> =>
  Effect.tryPromise({ try: work, catch: failed })

/** `hasEnded` says that nothing more will be written; with `follow` the stream goes on until then. */
export function readLog(
  folder: string,
  options: LogOptions,
  hasEnded: () => boolean
): Stream.Stream<LogLine, ExecutorError> {
  const wanted = select(options)
  return Stream.callback<LogLine, ExecutorError>(
    (queue) =>
      Effect.gen(function* () {
        const reader = new LogReader()
        const tail = options.tail === "all" ? undefined : new Tail(options.tail)
        const give = (lines: ReadonlyArray<LogLine>) => {
          const chosen = lines.filter(wanted)
          if (tail === undefined) return Effect.asVoid(Queue.offerAll(queue, chosen))
          tail.push(chosen)
          return Effect.void
        }
        const older = yield* attempt(() => olderFiles(folder))
        for (const path of older) {
          const file = yield* openFile(path)
          if (file !== undefined) yield* drain(file, reader, give)
        }
        let file = yield* openFile(logPath(folder, 0))
        if (file !== undefined) yield* drain(file, reader, give)
        const last = tail === undefined ? [] : tail.take()
        yield* Queue.offerAll(queue, last)
        const giveNew = (lines: ReadonlyArray<LogLine>) =>
          Effect.asVoid(Queue.offerAll(queue, lines.filter(wanted)))
        while (options.follow) {
          // Asked before reading: whatever was written before the end is then read.
          const ended = hasEnded()
          if (file !== undefined) yield* drain(file, reader, giveNew)
          const turned = yield* attempt(() => isTurnedOver(file, folder))
          if (turned) {
            file = yield* openFile(logPath(folder, 0))
            continue
          }
          if (ended) break
          yield* change(folder)
        }
        yield* Queue.end(queue)
      }).pipe(Effect.catch((error) => Queue.fail(queue, error))),
    { bufferSize: 1024, strategy: "suspend" }
  )
}

/** Which lines were asked for. */
function select({ stdout, stderr, since, until }: LogOptions): (line: LogLine) => boolean {
  return (line) =>
    (line.stream === "stdout" ? stdout : stderr) &&
    (since === 0 || seconds(line.timestamp) >= since) &&
    (until === 0 || seconds(line.timestamp) <= until)
}

/** With all nine digits, as far as a number goes. */
const seconds = (timestamp: string): number =>
  Math.floor(toMs(timestamp) / 1000) + Number(`0.${timestamp.slice(20, 29)}`)

/** The last so many lines of what passes. */
class Tail {
  readonly #count: number
  #lines: Array<LogLine> = []

  constructor(count: number) {
    this.#count = count
  }

  push(lines: ReadonlyArray<LogLine>): void {
    this.#lines = this.#lines.concat(lines)
    // Trimmed now and then rather than for every line.
    if (this.#lines.length > 2 * this.#count + 1024) this.#lines = this.take()
  }

  take(): Array<LogLine> {
    return this.#count <= 0 ? [] : this.#lines.slice(-this.#count)
  }
}

const openFile = (path: string): Effect.Effect<FileHandle | undefined, ExecutorError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(() =>
      open(path, "r").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined
        throw error
      })
    ),
    (file) => Effect.promise(() => file?.close().catch(() => {}) ?? Promise.resolve())
  )

/** Reads from where the file stands to its present end. */
const drain = Effect.fnUntraced(function* (
  file: FileHandle,
  reader: LogReader,
  give: (lines: ReadonlyArray<LogLine>) => Effect.Effect<void>
) {
  for (;;) {
    const { bytesRead, buffer } = yield* attempt(() =>
      file.read({ buffer: new Uint8Array(chunkBytes), position: null })
    )
    if (bytesRead === 0) return
    yield* give(reader.push(buffer.subarray(0, bytesRead)))
  }
})

/** Oldest first, without the one being written. */
async function olderFiles(folder: string): Promise<Array<string>> {
  const paths: Array<string> = []
  for (let age = 1; ; age++) {
    const path = logPath(folder, age)
    const there = await stat(path).then(
      () => true,
      () => false
    )
    if (!there) return paths.reverse()
    paths.push(path)
  }
}

async function isTurnedOver(file: FileHandle | undefined, folder: string): Promise<boolean> {
  const now = await stat(logPath(folder, 0)).catch(() => undefined)
  if (now === undefined) return false
  return file === undefined || (await file.stat()).ino !== now.ino
}

/** Waits until something in the folder changes, or a moment. */
const change = (folder: string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    try {
      const watcher = watch(folder, () => resume(Effect.void))
      watcher.on("error", () => resume(Effect.void))
      return Effect.sync(() => watcher.close())
    } catch {
      // The folder is gone; the task with it.
      return resume(Effect.void)
    }
  }).pipe(Effect.timeoutOption(lookAgain), Effect.asVoid)
