/** A console on the node of its task, asked for part by part. */
import { Buffer } from "node:buffer"
import { randomUUID } from "node:crypto"
import { Effect, type Scope } from "effect"
import { answerWithinMs } from "#actors/console/decide.ts"
import { ConsolesAnswer } from "#actors/console/protocol.ts"
import { type Console, type ConsoleRequest, ExecutorError } from "#actors/drivers/executor.ts"
import type { ContainerPlace } from "#actors/gateway/dashboard/place-container.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

/** An Engine may be busy with other containers. */
const patienceMs = 30_000
/** The node answers within its own `answerWithinMs` even when there is nothing to say. */
const readPatienceMs = answerWithinMs + 5_000

export const openConsoleAt = Effect.fnUntraced(function* (
  system: Pick<SystemService, "ask" | "tell">,
  place: ContainerPlace,
  { command, size }: ConsoleRequest
): Effect.fn.Return<Console, ExecutorError, Scope.Scope> {
  const id = randomUUID()
  const node = address(place.nodeId, "consoles", "main")
  const failed = (message: string): ExecutorError =>
    new ExecutorError({ operation: "console", temporary: false, message })
  const ask = (message: object, withinMs: number): Effect.Effect<ConsolesAnswer, ExecutorError> =>
    Effect.mapError(system.ask(node, { console: id, ...message }, withinMs, ConsolesAnswer), (absence) =>
      failed(`Cannot reach node ${place.nodeId}: ${absence.message}`)
    )
  const gone = Effect.fail(failed(`node ${place.nodeId} has ended it`))

  // Also where the answer never came: it may be open.
  yield* Effect.addFinalizer(() => Effect.sync(() => system.tell(node, { _tag: "Close", console: id })))
  const { task, container } = place
  const opened = yield* ask({ _tag: "Open", task, container, command, ...size }, patienceMs)
  if (opened._tag === "Refused") return yield* failed(opened.message)
  if (opened._tag === "TooMany")
    return yield* failed(`node ${place.nodeId} has ${opened.limit} consoles open already`)
  if (opened._tag !== "Opened") return yield* gone

  let exitCode: number | undefined
  return {
    read: Effect.gen(function* () {
      while (true) {
        const answer = yield* ask({ _tag: "Read" }, readPatienceMs)
        if (answer._tag !== "Output") return yield* gone
        if (answer.data !== undefined) return Buffer.from(answer.data, "base64")
        if (answer.ended === undefined) continue
        exitCode = answer.ended.exitCode
        return undefined
      }
    }),
    write: (part) =>
      ask({ _tag: "Write", data: Buffer.from(part).toString("base64") }, patienceMs).pipe(
        Effect.flatMap(({ _tag }) => (_tag === "Taken" ? Effect.void : gone))
      ),
    resize: (wanted) => Effect.sync(() => system.tell(node, { _tag: "Resize", console: id, ...wanted })),
    exitCode: Effect.sync(() => exitCode)
  }
})
