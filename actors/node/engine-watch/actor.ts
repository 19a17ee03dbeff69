/** Hears what containers do: `<node>/engine-watch/main`. */
import { Effect, Stream } from "effect"
import { Executor, type ExecutorError, type ExecutorService } from "#actors/drivers/executor.ts"
import { VolumePlugins } from "#actors/drivers/volume-plugins.ts"
import { decide, start, type Watch } from "#actors/node/engine-watch/decide.ts"
import type { WatchAction, WatchMessage } from "#actors/node/engine-watch/protocol.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"
import { System } from "#runtime/system.ts"

export const engineWatch = actor({
  kind: "engine-watch",
  start,
  decide,
  perform,
  summary: ({ following, description, trouble }: Watch) =>
    trouble === undefined
      ? `${following ? "follows" : "looks for"} ${description?.Executor ?? "the executor"} ${description?.Engine.EngineVersion ?? ""}`.trim()
      : `without its executor: ${trouble}`
})

function perform(action: WatchAction, self: Address): Effect.Effect<WatchMessage, never, Executor | System> {
  return carryOut(action, self).pipe(
    Effect.catch(({ message }: ExecutorError) => Effect.succeed(failure(action, message)))
  )
}

const carryOut = Effect.fn("engine-watch.perform")(function* (action: WatchAction, self: Address) {
  const executor = yield* Executor
  switch (action._tag) {
    case "Follow": {
      const system = yield* System
      yield* Stream.runForEach(executor.events, (event) =>
        Effect.sync(() => system.tell(self, { _tag: "Occurred", event } satisfies WatchMessage))
      )
      return { _tag: "Lost", reason: "the events ended" } satisfies WatchMessage
    }
    case "Survey":
      return { _tag: "Surveyed", containers: yield* executor.list } satisfies WatchMessage
    case "Ping":
      return yield* Effect.as(executor.ping, { _tag: "Pinged" } satisfies WatchMessage)
    case "DescribeMachine":
      return { _tag: "Described", description: yield* describe(executor) } satisfies WatchMessage
  }
})

/** What the machine says of itself, and its plugins of it. */
const describe = Effect.fnUntraced(function* (executor: ExecutorService) {
  const description = yield* executor.describe
  const plugins = yield* VolumePlugins
  const CSIInfo = yield* plugins.describe
  return CSIInfo.length === 0 ? description : { ...description, CSIInfo }
})

const failure = ({ _tag }: WatchAction, reason: string): WatchMessage => {
  if (_tag === "Follow") return { _tag: "Lost", reason }
  if (_tag === "Ping") return { _tag: "NotPinged", reason }
  return _tag === "Survey" ? { _tag: "NotSurveyed", reason } : { _tag: "NotDescribed", reason }
}
