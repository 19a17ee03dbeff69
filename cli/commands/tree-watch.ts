/** `troupe tree --watch`: draws what the actors tell, and carries out what the keys ask for. */
import process from "node:process"
import { Clock, Effect, Queue } from "effect"
import { whyNot } from "#cli/print/order.ts"
import { emptyView, frame, type Key, press, type View, type Wish, withTrees } from "#cli/print/tree-view.ts"
import { drawFrame, sizeOfTerminal, takeTerminal } from "#cli/terminal.ts"
import type { Inspector } from "#runtime/inspect.ts"

const period = "1 second"

type Happened =
  | { readonly _tag: "Key"; readonly key: Key }
  | { readonly _tag: "Resized" }
  | { readonly _tag: "View"; readonly change: (view: View) => View }

/** Runs until it is left by key or signal. Fails when there is no terminal. */
export const watchTree = Effect.fn("tree.watch")(function* (asked: Inspector, nodeId: string) {
  const { stdin, stdout } = process
  if (!stdin.isTTY || !stdout.isTTY) {
    return yield* Effect.fail(
      new Error("--watch needs a terminal; without one, troupe tree prints the tree once")
    )
  }
  const happened = yield* Queue.unbounded<Happened>()
  const offer = (one: Happened): void => void Queue.offerUnsafe(happened, one)
  yield* takeTerminal(
    (key) => offer({ _tag: "Key", key }),
    () => offer({ _tag: "Resized" })
  )

  const refresh = asked.wholeTree(nodeId).pipe(
    Effect.zip(Clock.currentTimeMillis),
    Effect.match({
      onSuccess: ([trees, at]) => offer({ _tag: "View", change: (view) => withTrees(view, trees, at) }),
      onFailure: ({ message }) => offer({ _tag: "View", change: (view) => ({ ...view, notice: message }) })
    })
  )
  yield* refresh.pipe(Effect.andThen(Effect.sleep(period)), Effect.forever, Effect.forkScoped)

  let view = emptyView(nodeId)
  for (;;) {
    drawFrame(frame(view, sizeOfTerminal()))
    const next = yield* Queue.take(happened)
    if (next._tag === "View") view = next.change(view)
    if (next._tag !== "Key") continue
    const pressed = press(view, next.key, sizeOfTerminal())
    view = pressed.view
    if (pressed.wish?._tag === "Quit") return
    if (pressed.wish) {
      const carried = carryOut(asked, nodeId, pressed.wish).pipe(Effect.tap(() => refresh))
      yield* Effect.forkScoped(Effect.map(carried, (change) => offer({ _tag: "View", change })))
    }
  }
}, Effect.scoped)

function carryOut(
  asked: Inspector,
  nodeId: string,
  wish: Exclude<Wish, { readonly _tag: "Quit" }>
): Effect.Effect<(view: View) => View> {
  const saying = (notice: string) => (view: View) => ({ ...view, notice })
  if (wish._tag === "Order") {
    return asked.order(nodeId, wish.child, wish.order).pipe(
      Effect.map((outcome) =>
        saying(
          outcome === "done" ? `${wish.order} ${wish.name}: done` : whyNot(wish.order, wish.name, outcome)
        )
      ),
      Effect.catch(({ message }) => Effect.succeed(saying(message)))
    )
  }
  const { address } = wish.node
  if (!address) return Effect.succeed((view) => view)
  return asked.details(nodeId, address).pipe(
    Effect.map(
      (details) =>
        (view: View): View => ({ ...view, mode: { _tag: "Details", details, scroll: 0 } })
    ),
    Effect.catch(({ message }) => Effect.succeed(saying(message)))
  )
}
