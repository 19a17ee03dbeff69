/** A service's log over the socket, line by line, taken up again where it broke off. */
import type { Buffer } from "node:buffer"
import http from "node:http"
import { Effect } from "effect"
import { Progress } from "#actors/drivers/log-store/marks.ts"
import { type ApiError, refusedWith, unreached } from "#cli/client.ts"
import { LogFrames, parseContext, WholeLines } from "#cli/print/log-lines.ts"

export interface RawLine {
  readonly stream: "stdout" | "stderr"
  readonly time: string
  readonly node: string
  readonly task: string
  readonly text: string
}

export interface StreamOptions {
  readonly socket: string
  readonly service: string
  /** Only this task's, by its id. */
  readonly task?: string
  readonly follow: boolean
  /** Seconds since the epoch. */
  readonly since?: number
  readonly until?: number
  readonly tail?: number
  readonly onLine: (line: RawLine) => void
  /** Why lines are missing, or that the connection was lost. */
  readonly onProblem: (text: string) => void
}

/** Over so much what came is looked at again: several tasks' lines come side by side. */
const overlapSeconds = 5
const pause = "1 second"

/** Ends with the log. Who follows outlives a lost connection: no line is shown twice. */
export const streamLogs = Effect.fnUntraced(function* (options: StreamOptions) {
  const progress = new Map<string, Progress>()
  let newest = 0
  let isLost = false
  const whole = new WholeLines<RawLine>()
  const onPiece = (line: RawLine, isOpen: boolean): void => {
    const known = progress.get(line.task) ?? new Progress({})
    progress.set(line.task, known)
    isLost = false
    newest = Math.max(newest, Date.parse(line.time) / 1000)
    if (!known.isNew({ stream: line.stream, timestamp: line.time })) return
    const ended = whole.take(line, isOpen)
    if (ended !== undefined) options.onLine(ended)
  }
  while (true) {
    const { tail: _tail, ...rest } = options
    const resumed =
      newest === 0 ? options : { ...rest, since: Math.max(newest - overlapSeconds, options.since ?? 0) }
    const end = yield* once(resumed, onPiece).pipe(
      Effect.catch((error) =>
        // What is wrong with the request stays wrong; what never began is no follower yet.
        !options.follow || (error.status > 0 && error.status < 500) || (newest === 0 && !isLost)
          ? Effect.fail(error)
          : Effect.succeed("lost" as const)
      )
    )
    if (end === "over") return whole.end().forEach(options.onLine)
    if (!isLost) options.onProblem("the connection was lost: trying again")
    isLost = true
    for (const [task, known] of progress) progress.set(task, new Progress(known.marks))
    yield* Effect.sleep(pause)
  }
})

const queryOf = ({ follow, since, until, tail }: StreamOptions): string =>
  new URLSearchParams({
    stdout: "1",
    stderr: "1",
    timestamps: "1",
    details: "1",
    framed: "1",
    follow: follow ? "1" : "0",
    ...(since !== undefined && { since: since.toFixed(9) }),
    ...(until !== undefined && { until: until.toFixed(9) }),
    ...(tail !== undefined && { tail: String(tail) })
  }).toString()

/** One request to its end; `lost` when it was cut off. */
const once = (
  options: StreamOptions,
  onPiece: (line: RawLine, isOpen: boolean) => void
): Effect.Effect<"over" | "lost", ApiError> =>
  Effect.callback((resume) => {
    const source = options.task === undefined ? `services/${options.service}` : `tasks/${options.task}`
    const path = `/${encodeURI(source)}/logs?${queryOf(options)}`
    const request = http.get({ socketPath: options.socket, path, agent: false }, (response) => {
      if (response.statusCode !== 200) {
        let body = ""
        response.on("data", (chunk) => {
          body += String(chunk)
        })
        response.on("end", () => resume(Effect.fail(refusedWith(response.statusCode, body))))
        return
      }
      const frames = new LogFrames(response.headers["content-type"]?.includes("multiplexed") === true)
      response.on("data", (chunk: Buffer) => {
        for (const [stream, text, isOpen = false] of frames.push(chunk)) {
          const line = stream === "system" ? undefined : parseContext(text)
          if (stream === "system" || line === undefined) options.onProblem(text)
          else onPiece({ ...line, stream }, isOpen)
        }
      })
      response.on("error", () => resume(Effect.succeed("lost")))
      response.on("aborted", () => resume(Effect.succeed("lost")))
      response.on("end", () => resume(Effect.succeed("over")))
    })
    request.on("error", (cause) => resume(Effect.fail(unreached(options.socket, cause))))
    return Effect.sync(() => request.destroy())
  })
