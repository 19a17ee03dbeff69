/**
 * A terminal of its own in a running container, as `docker exec -it` has it.
 *
 * The Engine lets go of what it executes when the connection ends, and the process would stay for as long as its
 * container: so it is hung up on, as by a terminal that is closed. The Engine cannot do that, the machine can.
 */
import { readFileSync } from "node:fs"
import type { Duplex } from "node:stream"
import { Effect, Schedule, Schema } from "effect"
import type { EngineClientService } from "#actors/drivers/engine/client.ts"
import { Created } from "#actors/drivers/engine/shapes.ts"
import { understand } from "#actors/drivers/engine/understand.ts"
import type { Console, ConsoleRequest, ExecutorError } from "#actors/drivers/executor.ts"
import {
  identityOf,
  signalGroup,
  signalProcess,
  statFields
} from "#actors/drivers/machine/process-identity.ts"

/** `GET /exec/{id}/json`; there is no exit code before the end. */
const Executed = Schema.Struct({
  Running: Schema.Boolean,
  Pid: Schema.Number,
  ExitCode: Schema.NullOr(Schema.Number)
})
type Executed = typeof Executed.Type

/** A shell ends its jobs first; what takes longer does not want to end. */
const hangUpWithin = { looks: 30, every: "100 millis" } as const
/** Engines have no terminal to resize until the process is there, and do not say when it is. */
const untilThere = Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 20 }))

export const openConsole = Effect.fnUntraced(function* (
  client: EngineClientService,
  container: string,
  { command, size }: ConsoleRequest
) {
  const operation = `console in ${container}`
  const body = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true, Cmd: command }
  const { Id } = yield* client
    .call({ operation, method: "POST", path: `/containers/${container}/exec`, body })
    .pipe(Effect.flatMap(understand(operation, Created)))
  const executed = client
    .call({ operation, method: "GET", path: `/exec/${Id}/json` })
    .pipe(Effect.flatMap(understand(operation, Executed)))

  const stream = yield* Effect.acquireRelease(
    client.hijack({
      operation,
      method: "POST",
      path: `/exec/${Id}/start`,
      body: { Detach: false, Tty: true }
    }),
    (opened) =>
      Effect.andThen(
        hangUp(container, executed),
        Effect.sync(() => opened.destroy())
      )
  )
  // Its end is heard by reading.
  stream.on("error", () => {})
  const parts: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]()

  let wanted = size
  const resize = Effect.suspend(() => {
    const query = { h: wanted.rows, w: wanted.columns }
    return client.call({ operation, method: "POST", path: `/exec/${Id}/resize`, query })
  })
  yield* resize.pipe(Effect.retry(untilThere), Effect.ignore, Effect.forkScoped)

  return {
    read: Effect.tryPromise(() => parts.next()).pipe(
      Effect.map(({ done, value }): Uint8Array | undefined => (done === true ? undefined : value)),
      // However the connection ended, nothing more comes.
      Effect.catch(() => Effect.succeed(undefined))
    ),
    write: (part) => write(stream, part),
    resize: (next) =>
      Effect.suspend(() => {
        wanted = next
        return Effect.ignore(resize)
      }),
    exitCode: Effect.map(executed, ({ ExitCode }) => ExitCode ?? undefined)
  } satisfies Console
})

const write = (stream: Duplex, part: Uint8Array): Effect.Effect<void> =>
  Effect.callback((resume) => {
    stream.write(part, () => resume(Effect.void))
  })

/** Completes when the process has ended, or cannot be ended by us. */
const hangUp = (container: string, executed: Effect.Effect<Executed, ExecutorError>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const told = new Set<number>()
    for (let look = 0; look < hangUpWithin.looks; look++) {
      const { Running: isRunning, Pid: pid, ExitCode: exitCode } = yield* executed
      if (exitCode !== null && !isRunning) return
      if (pid > 0) {
        // As the kernel does it: the leader of the session first, which then has it to think of once what runs in front,
        // and is told as well, has ended. What was only begun may come to the front later.
        const inFront = Number(statFields(pid)?.[8 - 3])
        if (!told.has(pid) && signal(container, pid, "SIGHUP")) told.add(pid)
        if (!told.has(inFront) && signal(container, inFront, "SIGHUP", signalGroup)) told.add(inFront)
      }
      yield* Effect.sleep(hangUpWithin.every)
    }
    const { Running: isRunning, Pid: pid } = yield* executed
    if (isRunning) signal(container, pid, "SIGKILL")
  }).pipe(Effect.ignore)

/** False where the number means another process here, or none: an Engine of another machine has numbers of its own. */
function signal(container: string, pid: number, name: NodeJS.Signals, send = signalProcess): boolean {
  const identity = identityOf(pid)
  return identity !== undefined && isOf(container, pid) && send(identity, name)
}

function isOf(container: string, pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(container)
  } catch {
    return false
  }
}
