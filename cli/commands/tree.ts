/** `troupe tree`: a node's supervision trees from its running actors, over NATS: once, watched live, or handled by hand. */
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { watchTree } from "#cli/commands/tree-watch.ts"
import { jsonFlag, printJson } from "#cli/json-flag.ts"
import { nodeCalled } from "#cli/nodes.ts"
import { orderDone, whyNot } from "#cli/print/order.ts"
import { childCalled, showTree } from "#cli/print/tree.ts"
import { connectAs, findRunning, nodeDataDirFlag } from "#cli/running.ts"
import { inspector } from "#runtime/inspect.ts"
import type { Order } from "#runtime/system.ts"

const watch = Flag.Boolean("watch").pipe(
  Flag.withDescription("a live view: move, expand, inspect, restart, stop and start by key"),
  Flag.withDefault(false)
)
const depth = Flag.Int("depth").pipe(
  Flag.withDescription("how many levels below the top; 0 is the top alone"),
  Flag.filter(
    (levels) => levels >= 0,
    () => "0 or more"
  ),
  Flag.optional
)
export const nodeFlag = Flag.String("node").pipe(
  Flag.withDescription("another node, by id or name; this one unless given"),
  Flag.optional
)
const path = Argument.String("path").pipe(
  Argument.withDescription("what to show: an address such as leader/service/ID, or a name in the tree"),
  Argument.optional
)
const child = Argument.String("child").pipe(
  Argument.withDescription("an address such as leader/service/ID, or a name in the tree")
)

/** Where the commands ask, and whom. */
export const asking = Effect.fnUntraced(function* (dataDir: string, node: Option.Option<string>) {
  const running = yield* findRunning(dataDir)
  const transport = yield* connectAs(dataDir, running)
  const asked = inspector(transport, running.clusterId)
  const nodeId = yield* nodeCalled(running, Option.getOrUndefined(node))
  return { running, asked, nodeId }
})

const byHand = (order: Order, description: string) =>
  Command.make(
    order,
    { child, dataDir: nodeDataDirFlag, node: nodeFlag },
    Effect.fn(function* ({ child: word, dataDir, node }) {
      const { asked, nodeId } = yield* asking(dataDir, node)
      const found = childCalled(yield* asked.wholeTree(nodeId), word)
      if (found instanceof Error) return yield* Effect.fail(found)
      const outcome = yield* asked.order(nodeId, found.child, order)
      if (outcome !== "done") return yield* Effect.fail(new Error(whyNot(order, found.name, outcome)))
      yield* Console.log(`${found.name} ${orderDone[order]}`)
    }, Effect.scoped)
  ).pipe(Command.withDescription(description))

export const tree = Command.make(
  "tree",
  { path, dataDir: nodeDataDirFlag, node: nodeFlag, json: jsonFlag, watch, depth },
  Effect.fn(function* ({ path: word, dataDir, node, json: asJson, watch: live, depth: levels }) {
    const { asked, nodeId } = yield* asking(dataDir, node)
    if (live) return yield* watchTree(asked, nodeId)
    const query = {
      ...(Option.isSome(word) && { under: [word.value] }),
      ...(Option.isSome(levels) && { depth: levels.value })
    }
    const trees = yield* asked.wholeTree(nodeId, query)
    if (asJson) return yield* printJson({ nodeId, trees, omitted: 0 })
    yield* Console.log(showTree(trees))
    if (Option.isSome(word)) return
    const { count, samples } = yield* asked.deadLetters(nodeId)
    if (count > 0) yield* Console.log(`\n${count} dead letters, such as:\n${samples.slice(-3).join("\n")}`)
  }, Effect.scoped)
).pipe(
  Command.withDescription("The live supervision tree of a node"),
  Command.withSubcommands([
    byHand("restart", "End one actor or supervisor as if it had crashed; its supervisor starts it again"),
    byHand("stop", "Stop one actor or supervisor; it stays down until it is started by hand"),
    byHand("start", "Start what was stopped by hand or has ended")
  ])
)
