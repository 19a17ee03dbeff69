/** Publishes what tasks write whose services ask for it. */
import { Context, Effect } from "effect"
import type { LogMemoryService } from "#actors/logs/memory.ts"
import type { Publisher } from "#actors/logs/publish/publisher.ts"

/** Hears of which tasks the output is to be published, all of them, whenever that changes. */
export const PublishListener = Context.Reference<(tasks: ReadonlyArray<string>) => void>(
  "troupe/actors/logs/publish/PublishListener",
  { defaultValue: () => () => {} }
)

const roundEvery = "200 millis"

/** Never ends, and never fails. */
export const keepPublishing = (
  publisher: Publisher,
  memory: Pick<LogMemoryService, "tasks">
): Effect.Effect<never> =>
  Effect.forever(
    Effect.gen(function* () {
      yield* Effect.sleep(roundEvery)
      if (!publisher.isIdle) publisher.round(yield* memory.tasks)
    })
  )
