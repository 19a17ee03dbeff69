/** How a task's actions touch the world: the executor for its container, the secret store for its files. */
import { Buffer } from "node:buffer"
import { Effect } from "effect"
import { Connections } from "#actors/drivers/connections.ts"
import {
  type ContainerState,
  Executor,
  ExecutorError,
  type ExecutorService
} from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"
import { SecretStore } from "#actors/drivers/secret-store.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { decide, start } from "#actors/task/decide.ts"
import { withFiles } from "#actors/task/describe.ts"
import type { TaskAction, TaskMessage } from "#actors/task/protocol.ts"
import { rank, type TaskWork } from "#actors/task/work.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"

export const task = actor({
  kind: "task",
  mailbox: {
    capacity: 1_024,
    overflow: { latest: (message: TaskMessage) => (message._tag === "Pursue" ? "Pursue" : undefined) }
  },
  start,
  decide,
  perform,
  secrets: (message: TaskMessage) =>
    message._tag === "Pursue" && (message.secrets.length > 0 || message.assigned.registryAuth !== undefined),
  summary: ({ pursuit, goal, status, forgotten, resting }: TaskWork) =>
    [
      pursuit?.assigned.name ?? "waits for its goal",
      status.State,
      forgotten ? "to be forgotten" : `wants ${goal}`,
      ...(resting ? [`retrying: ${status.Err ?? "an action"}`] : [])
    ].join(", ")
})

type Needs = Executor | SecretStore | LogMemory

/** Carries out one action; every failure of the world comes back as `Refused`. */
function perform(action: TaskAction, self: Address): Effect.Effect<TaskMessage | undefined, never, Needs> {
  return carryOut(action, self.id).pipe(
    Effect.catchTags({
      ExecutorError: ({ message, temporary, status }) =>
        Effect.succeed(refusal(action, message, temporary, status !== undefined)),
      SecretStoreError: ({ message }) => Effect.succeed(refusal(action, message, false, true))
    })
  )
}

const refusal = (
  { _tag: step }: TaskAction,
  message: string,
  temporary: boolean,
  answered: boolean
): TaskMessage => ({ _tag: "Refused", step, message, temporary, answered })

const carryOut = Effect.fn("task.perform")(function* (action: TaskAction, taskId: string) {
  const executor = yield* Executor
  const store = yield* SecretStore
  switch (action._tag) {
    case "Find":
      return answer("Found", yield* find(executor, action.container, taskId))
    case "Pull":
      yield* executor.pull(action.image, action.registryAuth)
      return { _tag: "Pulled" } satisfies TaskMessage
    case "Create": {
      const files = action.files.map(({ data, ...file }) => ({ ...file, data: Buffer.from(data, "base64") }))
      const paths = files.length === 0 ? {} : yield* store.keep(taskId, files)
      const id = yield* executor.create(action.name, withFiles(action.request, action.files, paths))
      return { _tag: "Created", container: yield* present(executor, id) } satisfies TaskMessage
    }
    case "Start":
      yield* executor.start(action.container)
      return { _tag: "Began", container: yield* present(executor, action.container) } satisfies TaskMessage
    case "Drain":
      yield* drained(action.pid, action.withinMs)
      return { _tag: "Drained" } satisfies TaskMessage
    case "Stop":
      return answer("Ceased", yield* stop(executor, action.container, action.graceMs, taskId))
    case "Remove": {
      const container = yield* stop(executor, action.container, action.graceMs, taskId)
      if (container) {
        // Its log goes with it.
        yield* (yield* LogMemory).settle(container)
        yield* executor.remove(container.id)
      }
      yield* store.forget(taskId)
      return { _tag: "Removed" } satisfies TaskMessage
    }
    case "Wipe":
      // What cannot be wiped now is swept after the next start; the task itself has ended either way.
      yield* Effect.ignore(store.forget(taskId))
      return undefined
  }
})

const lookEvery = "100 millis"

/**
 * Waits until what was asked of `pid` when this began is answered. Whoever keeps a connection may go on asking: to tell
 * him is up to the program, once it hears that it is to stop.
 */
const drained = Effect.fnUntraced(function* (pid: number, withinMs: number) {
  const connections = yield* Connections
  let owed = yield* connections.busy(pid)
  if (owed.size === 0) return
  const look = Effect.gen(function* () {
    yield* Effect.sleep(lookEvery)
    const busy = yield* connections.busy(pid)
    owed = new Set([...owed].filter((one) => busy.has(one)))
    return owed.size > 0
  })
  yield* look.pipe(Effect.repeat({ while: (isOwed) => isOwed }), Effect.timeoutOption(withinMs))
})

const answer = (tag: "Found" | "Ceased", container: ContainerState | undefined): TaskMessage =>
  container === undefined ? { _tag: tag } : { _tag: tag, container }

/** The container by id or name, if it is this task's. */
const find = (executor: ExecutorService, container: string, taskId: string) =>
  Effect.map(executor.inspect(container), (found) =>
    found?.labels[taskLabel] === taskId ? found : undefined
  )

/** A container that must be there, because it just was. */
const present = (executor: ExecutorService, id: string) =>
  Effect.flatMap(executor.inspect(id), (container) =>
    container === undefined
      ? Effect.fail(
          new ExecutorError({
            operation: "inspect",
            status: 404,
            temporary: false,
            message: `No such container: ${id}`
          })
        )
      : Effect.succeed(container)
  )

/** Ends the container if it runs and tells what is left of it. */
const stop = Effect.fnUntraced(function* (
  executor: ExecutorService,
  reference: string,
  graceMs: number,
  taskId: string
) {
  const before = yield* find(executor, reference, taskId)
  if (before === undefined || rank(before.status) !== 1) return before
  yield* executor.stop(before.id, graceMs)
  const after = yield* executor.inspect(before.id)
  if (after === undefined || rank(after.status) !== 1) return after
  return yield* new ExecutorError({
    operation: "stop",
    temporary: true,
    message: "the container goes on although it was stopped"
  })
})
