/** The terminal of `troupe tree --watch`: draws frames, reads keys, and leaves the screen as it was, however it ends. */
import process from "node:process"
import { Clock, Effect, type Exit, Queue } from "effect"
import { whyNot } from "#cli/print/order.ts"
import {
  emptyView,
  frame,
  type Key,
  press,
  type Size,
  type View,
  type Wish,
  withTrees
} from "#cli/print/tree-view.ts"
import type { Inspector } from "#runtime/inspect.ts"

const period = "1 second"

/** Alternate screen without a cursor, and back. https://invisible-island.net/xterm/ctlseqs/ctlseqs.html */
const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"
/** Between these a terminal that knows them shows nothing half drawn; others ignore them. */
const beginFrame = "\u001b[?2026h\u001b[H"
const endFrame = "\u001b[J\u001b[?2026l"

const keys: Readonly<Record<string, Key>> = {
  "\u001b[A": "up",
  "\u001bOA": "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b[C": "right",
  "\u001bOC": "right",
  "\u001b[D": "left",
  "\u001bOD": "left",
  "\u001b[5~": "page-up",
  "\u001b[6~": "page-down",
  "\u001b": "escape",
  "\r": "enter",
  "\n": "enter",
  "\u007f": "backspace",
  "\b": "backspace",
  "\u0003": "ctrl-c"
}

/** One chunk of input may hold several keys. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is how terminals send keys
const keyPattern = /\u001b(?:[[O][0-9;]*[A-Za-z~])?|[^\u001b]/gu
const keysIn = (text: string): ReadonlyArray<Key> =>
  (text.match(keyPattern) ?? []).map((key) => keys[key] ?? key)

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
  yield* terminal(offer)

  const refresh = asked.wholeTree(nodeId).pipe(
    Effect.zip(Clock.currentTimeMillis),
    Effect.match({
      onSuccess: ([trees, at]) => offer({ _tag: "View", change: (view) => withTrees(view, trees, at) }),
      onFailure: ({ message }) => offer({ _tag: "View", change: (view) => ({ ...view, notice: message }) })
    })
  )
  yield* refresh.pipe(Effect.andThen(Effect.sleep(period)), Effect.forever, Effect.forkScoped)

  const size = (): Size => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 })
  let view = emptyView(nodeId)
  for (;;) {
    draw(frame(view, size()))
    const next = yield* Queue.take(happened)
    if (next._tag === "View") view = next.change(view)
    if (next._tag !== "Key") continue
    const pressed = press(view, next.key, size())
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

/** Takes the terminal until the scope closes. */
const terminal = (offer: (one: Happened) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { stdin, stdout } = process
      const onInput = (chunk: Uint8Array | string): void => {
        for (const key of keysIn(String(chunk))) offer({ _tag: "Key", key })
      }
      const onResize = (): void => offer({ _tag: "Resized" })
      stdin.setRawMode(true)
      stdin.setEncoding("utf8")
      stdin.on("data", onInput)
      stdin.resume()
      stdout.on("resize", onResize)
      stdout.write(enter)
      return () => {
        stdout.off("resize", onResize)
        stdin.off("data", onInput)
        stdin.pause()
        stdin.setRawMode(false)
        stdout.write(leave)
      }
    }),
    (restore, _exit: Exit.Exit<unknown, unknown>) => Effect.sync(restore)
  )

/** One write a frame; every line clears what was right of it, so that nothing is blank in between. */
function draw(lines: ReadonlyArray<string>): void {
  process.stdout.write(`${beginFrame}${lines.map((line) => `${line}\u001b[K`).join("\r\n")}${endFrame}`)
}
