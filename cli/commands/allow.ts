/** `troupe allow` and `troupe deny`: what services may ask for by labels, beyond Swarm's API. */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { allowedBy, allowLabel, type Extra, extras } from "#actors/model/extras.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"
import { get, post, socketFlag } from "#cli/client.ts"

interface Swarm {
  readonly Version: { readonly Index: number }
  readonly Spec: SwarmSpec
}

/** Changes what is allowed, and says what that comes to. */
const change = Effect.fnUntraced(function* (
  socket: string,
  to: (allowed: ReadonlyArray<Extra>) => ReadonlyArray<Extra>
) {
  const { Version, Spec } = yield* get<Swarm>(socket, "/swarm")
  const before = allowedBy(Spec.Labels)
  const after = extras.filter((extra) => to(before).includes(extra))
  if (after.length !== before.length) {
    const { [allowLabel]: _before, ...others } = Spec.Labels ?? {}
    const Labels = after.length === 0 ? others : { ...others, [allowLabel]: after.join(",") }
    yield* post(socket, `/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
  }
  yield* Console.log(after.length === 0 ? "nothing is allowed" : `allowed: ${after.join(", ")}`)
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
