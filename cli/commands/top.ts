/** `troupe top`: what the whole cluster uses, live in a terminal; without one, one table. */
import process from "node:process"
import { Console, Effect, Queue } from "effect"
import { Command, Flag } from "effect/cli"
import { get, socketFlag } from "#cli/client.ts"
import {
  emptyTop,
  type Latest,
  pressTop,
  showTop,
  sorts,
  subjects,
  type TopView,
  topFrame
} from "#cli/print/top-view.ts"
import type { Key } from "#cli/print/tree-view.ts"
import { drawFrame, sizeOfTerminal, takeTerminal } from "#cli/terminal.ts"

const period = "1 second"

type Happened =
  | { readonly _tag: "Key"; readonly key: Key }
  | { readonly _tag: "Resized" }
  | { readonly _tag: "Latest"; readonly latest: Latest }
  | { readonly _tag: "Silent"; readonly message: string }

const watch = Effect.fn("top.watch")(function* (socket: string, begin: TopView) {
  const happened = yield* Queue.unbounded<Happened>()
  const offer = (one: Happened): void => void Queue.offerUnsafe(happened, one)
  yield* takeTerminal(
    (key) => offer({ _tag: "Key", key }),
    () => offer({ _tag: "Resized" })
  )
  yield* get<Latest>(socket, "/metrics/latest").pipe(
    Effect.match({
      onSuccess: (latest) => offer({ _tag: "Latest", latest }),
      onFailure: ({ message }) => offer({ _tag: "Silent", message })
    }),
    Effect.andThen(Effect.sleep(period)),
    Effect.forever,
    Effect.forkScoped
  )
  let view: TopView | undefined = begin
  while (view !== undefined) {
    drawFrame(topFrame(view, sizeOfTerminal()))
    const next: Happened = yield* Queue.take(happened)
    if (next._tag === "Key") view = pressTop(view, next.key, sizeOfTerminal())
    else if (next._tag === "Latest") view = { ...view, latest: next.latest, notice: "" }
    else if (next._tag === "Silent") view = { ...view, notice: next.message }
  }
}, Effect.scoped)

export const top = Command.make(
  "top",
  {
    of: Flag.Literals("of", subjects).pipe(
      Flag.withDescription("what to list: nodes, services or tasks"),
      Flag.withDefault("tasks" as const)
    ),
    sort: Flag.Literals("sort", sorts).pipe(
      Flag.withDescription("by what"),
      Flag.withDefault("cpu" as const)
    ),
    filter: Flag.String("filter").pipe(
      Flag.withDescription("only those whose name, id or node has this in it"),
      Flag.withDefault("")
    ),
    once: Flag.Boolean("once").pipe(
      Flag.withDescription("one table, and no more; so it is where there is no terminal"),
      Flag.withDefault(false)
    ),
    socket: socketFlag
  },
  Effect.fn(function* ({ of, sort, filter, once, socket }) {
    const view = emptyTop(of, sort, filter)
    if (!once && process.stdin.isTTY && process.stdout.isTTY) return yield* watch(socket, view)
    const latest = yield* get<Latest>(socket, "/metrics/latest")
    yield* Console.log(showTop({ ...view, latest }))
  })
).pipe(Command.withDescription("What nodes, services and tasks use, live"))
