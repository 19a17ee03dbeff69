/** `troupe allow` and `troupe deny`: what services may ask for by labels, beyond Swarm's API. */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { allowedBy, allowLabel, type Extra, extras } from "#actors/model/extras.ts"
import { socketFlag } from "#cli/client.ts"
import { changeSwarmLabels } from "#cli/swarm-labels.ts"

/** Changes what is allowed, and says what that comes to. */
const change = Effect.fnUntraced(function* (
  socket: string,
  to: (allowed: ReadonlyArray<Extra>) => ReadonlyArray<Extra>
) {
  const labels = yield* changeSwarmLabels(socket, (all) => {
    const before = allowedBy(Object.fromEntries(all))
    const after = extras.filter((extra) => to(before).includes(extra))
    if (after.length === before.length) return
    if (after.length === 0) all.delete(allowLabel)
    else all.set(allowLabel, after.join(","))
  })
  const allowed = allowedBy(Object.fromEntries(labels))
  yield* Console.log(allowed.length === 0 ? "nothing is allowed" : `allowed: ${allowed.join(", ")}`)
})

export const allow = Command.make(
  "allow",
  { socket: socketFlag, names: Argument.Literals("what", extras).pipe(Argument.variadic()) },
  ({ socket, names }) => change(socket, (allowed) => [...allowed, ...names])
).pipe(
  Command.withDescription(
    `Let services ask for ${extras.join(", ")} by labels (troupe.…) of their containers; without names, say what is allowed`
  )
)

export const deny = Command.make(
  "deny",
  { socket: socketFlag, names: Argument.Literals("what", extras).pipe(Argument.variadic({ min: 1 })) },
  ({ socket, names }) => change(socket, (allowed) => allowed.filter((extra) => !names.includes(extra)))
).pipe(Command.withDescription("Take that back: for services that are made or changed from now on"))
