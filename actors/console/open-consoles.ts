/** The consoles that are open on this node, by the names that gateways gave them. */
import { Buffer } from "node:buffer"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import type { Examination } from "#actors/console/decide.ts"
import type { ConsolesMessage, Output } from "#actors/console/protocol.ts"
import { type Console, type ConsoleSize, Executor } from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"

export interface OpenConsolesService {
  /** Why it could not be opened; `undefined` once it is. */
  readonly begin: (asked: Extract<ConsolesMessage, { _tag: "Open" }>) => Effect.Effect<string | undefined>
  readonly examine: (asked: Extract<ConsolesMessage, { _tag: "Examine" }>) => Effect.Effect<Examination>
  readonly read: (id: string) => Effect.Effect<Output>
  /** `data` is base64. */
  readonly write: (id: string, data: string) => Effect.Effect<void>
  readonly resize: (id: string, size: ConsoleSize) => Effect.Effect<void>
  /** Ends the command. */
  readonly shut: (id: string) => Effect.Effect<void>
  readonly shutAll: Effect.Effect<void>
}

interface Opened {
  readonly scope: Scope.Closeable
  readonly console: Console
}

export class OpenConsoles extends Context.Service<OpenConsoles, OpenConsolesService>()(
  "troupe/actors/console/OpenConsoles"
) {
  static readonly layer = Layer.effect(
    OpenConsoles,
    Effect.gen(function* () {
      const executor = yield* Executor
      const open = new Map<string, Opened>()

      const shut = (id: string): Effect.Effect<void> =>
        Effect.suspend(() => {
          const found = open.get(id)
          open.delete(id)
          return found === undefined ? Effect.void : Scope.close(found.scope, Exit.void)
        })
      const shutAll = Effect.suspend(() =>
        Effect.forEach([...open.keys()], shut, { concurrency: "unbounded", discard: true })
      )
      yield* Effect.addFinalizer(() => shutAll)

      const begin: OpenConsolesService["begin"] = ({
        console: id,
        task,
        container,
        command,
        columns,
        rows
      }) =>
        Effect.gen(function* () {
          const found = yield* executor.inspect(container)
          if (found?.labels[taskLabel] !== task) return `task ${task} has no container ${container} here`
          const scope = yield* Scope.make()
          const console = yield* executor.console(found.id, { command, size: { columns, rows } }).pipe(
            Scope.provide(scope),
            Effect.onError(() => Scope.close(scope, Exit.void))
          )
          open.set(id, { scope, console })
          return undefined
        }).pipe(Effect.catch(({ message }) => Effect.succeed(message)))

      const examine: OpenConsolesService["examine"] = ({ task, container }) =>
        Effect.map(executor.health(container), (found): Examination => {
          if (found?.labels[taskLabel] !== task) return { _tag: "Gone" }
          const { status, probes } = found
          return { _tag: "Health", ...(status !== undefined && { status }), probes }
        }).pipe(Effect.catch(({ message }) => Effect.succeed({ _tag: "Refused" as const, message })))

      const read: OpenConsolesService["read"] = (id) =>
        Effect.gen(function* () {
          const console = open.get(id)?.console
          const part = console && (yield* console.read)
          if (part !== undefined)
            return { _tag: "Output" as const, data: Buffer.from(part).toString("base64") }
          const exitCode = console && (yield* console.exitCode)
          return { _tag: "Output" as const, ended: exitCode === undefined ? {} : { exitCode } }
          // The Engine is gone, and the command with it.
        }).pipe(Effect.catch(() => Effect.succeed({ _tag: "Output" as const, ended: {} })))

      return {
        begin,
        examine,
        read,
        // What does not arrive is noticed by reading.
        write: (id, data) =>
          Effect.ignore(open.get(id)?.console.write(Buffer.from(data, "base64")) ?? Effect.void),
        resize: (id, size) => open.get(id)?.console.resize(size) ?? Effect.void,
        shut,
        shutAll
      }
    })
  )
}
