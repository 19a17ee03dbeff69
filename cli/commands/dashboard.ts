/** `troupe dashboard`: a link that signs one browser in, once. */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { roles } from "#actors/gateway/access/role.ts"
import { post, socketFlag } from "#cli/client.ts"

const role = Flag.Literals("role", roles).pipe(
  Flag.withDescription("what whoever follows the link may do"),
  Flag.withDefault("admin" as const)
)

export const dashboard = Command.make(
  "dashboard",
  { socket: socketFlag, role },
  Effect.fn(function* ({ socket, role: as }) {
    const { url } = yield* post<{ readonly url: string }>(socket, "/dashboard/links", { role: as })
    yield* Console.log(url)
    yield* Console.error("It signs one browser in, once, within five minutes.")
  })
).pipe(Command.withDescription("Print a link that opens the dashboard in a browser, signed in"))
