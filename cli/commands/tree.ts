/** `troupe tree`: the supervision trees of this node's process, from its running actors, over NATS. */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { showTree } from "#cli/print/tree.ts"
import { connectAs, dataDirFlag, findRunning } from "#cli/running.ts"
import { inspector } from "#runtime/inspect.ts"

const json = Flag.Boolean("json").pipe(
  Flag.withDescription("the whole answer as JSON"),
  Flag.withDefault(false)
)

export const tree = Command.make(
  "tree",
  { dataDir: dataDirFlag, json },
  Effect.fn(function* ({ dataDir, json: asJson }) {
    const running = yield* findRunning(dataDir)
    const transport = yield* connectAs(dataDir, running)
    const asked = inspector(transport, running.clusterId)
    const answer = yield* asked.tree(running.nodeId)
    if (asJson) return yield* Console.log(JSON.stringify(answer, null, 2))
    yield* Console.log(showTree(answer.trees))
    if (answer.omitted > 0) yield* Console.log(`and ${answer.omitted} actors more than one answer can carry`)
    const { count, samples } = yield* asked.deadLetters(running.nodeId)
    if (count > 0) yield* Console.log(`\n${count} dead letters, such as:\n${samples.slice(0, 3).join("\n")}`)
  }, Effect.scoped)
).pipe(Command.withDescription("The live supervision tree of this node"))
