/** `troupe history`: what happened to an object, or to all of them: when, who asked for it and why, and what changed. */
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { get, socketFlag } from "#cli/client.ts"
import { followHistory } from "#cli/history-stream.ts"
import { type ShownChange, showChange } from "#cli/print/history.ts"

interface Answer {
  readonly Object?: {
    readonly Kind: string
    readonly ID: string
    readonly Name: string
    readonly Gone: boolean
  }
  /** Ids of others that were called so before. */
  readonly Earlier?: ReadonlyArray<string>
  readonly Changes: ReadonlyArray<ShownChange>
  readonly More: boolean
}

const text = (name: string, what: string) => Flag.String(name).pipe(Flag.withDescription(what), Flag.optional)

const flags = {
  name: Argument.String("object").pipe(
    Argument.withDescription(
      "a service, node, task, network, secret, config or volume, by name or the beginning of its id, also one that is gone; all without it"
    ),
    Argument.optional
  ),
  kind: text("kind", "only of this kind: service, task, node, network, secret, config, volume, cluster"),
  tasks: Flag.Boolean("tasks").pipe(
    Flag.withDescription("of a service also what became of its tasks"),
    Flag.withDefault(false)
  ),
  since: text("since", "from then on: 10m, 1h30m, seconds since the epoch or a date"),
  until: text("until", "up to then"),
  after: text("after", "what came after a change, by its Sequence"),
  limit: Flag.Int("limit").pipe(
    Flag.withDescription("the newest so many; with --after the oldest"),
    Flag.withAlias("n"),
    Flag.withDefault(100)
  ),
  follow: Flag.Boolean("follow").pipe(
    Flag.withDescription("go on as changes come; taken up again when the connection is lost"),
    Flag.withAlias("f"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("one JSON object a line"), Flag.withDefault(false)),
  socket: socketFlag
}

export const history = Command.make(
  "history",
  flags,
  Effect.fn(function* ({ name, kind, tasks, since, until, after, limit, follow, json, socket }) {
    const query = new URLSearchParams({ limit: String(limit), ...(tasks && { tasks: "1" }) })
    for (const [key, value] of Object.entries({ kind, since, until, after })) {
      if (Option.isSome(value)) query.set(key, value.value)
    }
    const path = `/history${Option.isSome(name) ? `/${encodeURIComponent(name.value)}` : ""}`
    const show = (change: ShownChange): string => (json ? JSON.stringify(change) : showChange(change))
    if (follow) {
      query.set("follow", "1")
      return yield* followHistory({
        socket,
        path: `${path}?${query}`,
        onChange: (one) => console.log(json ? one : showChange(JSON.parse(one) as ShownChange)),
        onProblem: (problem) => console.error(problem)
      })
    }
    const answer = yield* get<Answer>(socket, `${path}?${query}`)
    for (const change of answer.Changes) yield* Console.log(show(change))
    if (json) return
    const { Object: object, Earlier: earlier = [] } = answer
    if (object?.Gone) yield* Console.error(`${object.Kind} ${object.Name} (${object.ID}) is gone`)
    if (object && answer.Changes.length === 0)
      yield* Console.error(`Nothing of ${object.Kind} ${object.Name} is kept for that time`)
    if (answer.More) yield* Console.error("There is more: see --limit, --since and --after")
    if (object && earlier.length > 0)
      yield* Console.error(`Earlier, other ${object.Kind}s were called so: ${earlier.join(", ")}`)
  })
).pipe(Command.withDescription("What happened to an object: when, who asked for it and why, what changed"))
