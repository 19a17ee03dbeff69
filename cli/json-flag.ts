/** `--json`, for commands that print one answer. */
import { Console, type Effect } from "effect"
import { Flag } from "effect/cli"

export const jsonFlag = Flag.Boolean("json").pipe(
  Flag.withDescription("the whole answer as JSON"),
  Flag.withDefault(false)
)

export const printJson = (answer: unknown): Effect.Effect<void> =>
  Console.log(JSON.stringify(answer, null, 2))
