/** `troupe why`: why a task waits, filter by filter, and what would help; or why it is where it is. */
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { get, socketFlag } from "#cli/client.ts"
import { showWhy, type WhyTask } from "#cli/print/why.ts"

interface Answer {
  readonly Service?: string
  readonly Tasks: ReadonlyArray<WhyTask>
}

const name = Argument.String("name").pipe(
  Argument.withDescription("a task (its id, web.1, or web.1.ID), or a service: what of it waits")
)
const json = Flag.Boolean("json").pipe(
  Flag.withDescription("the whole answer as JSON"),
  Flag.withDefault(false)
)

export const why = Command.make(
  "why",
  { name, socket: socketFlag, json },
  Effect.fn(function* ({ name: word, socket, json: asJson }) {
    const answer = yield* get<Answer>(socket, `/why/${encodeURIComponent(word)}`)
    if (asJson) return yield* Console.log(JSON.stringify(answer, null, 2))
    if (answer.Tasks.length === 0) return yield* Console.log(`no task of ${answer.Service} waits`)
    yield* Console.log(answer.Tasks.map(showWhy).join("\n\n"))
  })
).pipe(Command.withDescription("Why a task waits and what would help, or why it is where it is"))
