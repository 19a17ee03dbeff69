/**
 * `troupe why`: why a task waits, filter by filter, and what would help; or why it is where it is. Of a service that
 * follows its load also what was decided last, and from what.
 */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { ApiError, get, socketFlag } from "#cli/client.ts"
import { jsonFlag, printJson } from "#cli/json-flag.ts"
import { type Scaled, showDecisions } from "#cli/print/autoscale.ts"
import { showWhy, showWhyService, type WhyService, type WhyTask } from "#cli/print/why.ts"

type Answer = WhyService | { readonly Service?: never; readonly Tasks: ReadonlyArray<WhyTask> }

/** Of most services there are none: they have no such labels. */
const decisionsOf = (socket: string, { Service: service }: Answer) =>
  service === undefined
    ? Effect.succeed(undefined)
    : get<Scaled>(socket, `/autoscale/${encodeURIComponent(service)}`).pipe(
        Effect.catchIf(
          (error) => error instanceof ApiError && error.status === 404,
          () => Effect.succeed(undefined)
        )
      )

const name = Argument.String("name").pipe(
  Argument.withDescription("a task (its id, web.1, or web.1.ID), or a service: what of it waits")
)

export const why = Command.make(
  "why",
  { name, socket: socketFlag, json: jsonFlag },
  Effect.fn(function* ({ name: word, socket, json: asJson }) {
    const answer = yield* get<Answer>(socket, `/why/${encodeURIComponent(word)}`)
    const scaled = yield* decisionsOf(socket, answer)
    if (asJson) return yield* printJson({ ...answer, ...(scaled && { Autoscale: scaled }) })
    const said = answer.Service === undefined ? answer.Tasks.map(showWhy) : [showWhyService(answer)]
    yield* Console.log([...said, ...(scaled ? [showDecisions(scaled)] : [])].join("\n\n"))
  })
).pipe(Command.withDescription("Why a task waits and what would help, or why it is where it is"))
