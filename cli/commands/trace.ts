/** `troupe trace`: what led to a message and what it led to, put together from what every node remembers. */
import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { jsonFlag, printJson } from "#cli/json-flag.ts"
import { nodesOf } from "#cli/nodes.ts"
import { showTrace } from "#cli/print/trace.ts"
import { connectAs, findRunning, nodeDataDirFlag } from "#cli/running.ts"
import { inspector } from "#runtime/inspect.ts"
import { TraceSearch } from "#runtime/trace-join.ts"

const id = Argument.String("message-id").pipe(
  Argument.withDescription(
    "as it stands in logs, dead letters, troupe tree, troupe log or a troupe-id header"
  )
)

/** More than a screen could show; a chain that goes on for ever ends here. */
const mostMessages = 5_000
const mostRounds = 64

export const trace = Command.make(
  "trace",
  { id, dataDir: nodeDataDirFlag, json: jsonFlag },
  Effect.fn(function* ({ id: wanted, dataDir, json: asJson }) {
    const running = yield* findRunning(dataDir)
    const transport = yield* connectAs(dataDir, running)
    const asked = inspector(transport, running.clusterId)
    const search = new TraceSearch(wanted)
    const nodes = yield* nodesOf(running)
    const silent = new Map<string, string>()
    let cut = false
    for (let round = 0; round < mostRounds && search.size < mostMessages; round++) {
      const { exact, ledBy } = search.next()
      if (exact.length === 0 && ledBy.length === 0) break
      const ask = ({ id: nodeId }: { readonly id: string }) =>
        asked.trace(nodeId, exact, ledBy).pipe(
          Effect.match({
            onSuccess: (answer) => {
              search.take(nodeId, answer.records)
              cut ||= answer.more
            },
            onFailure: ({ message }) => {
              silent.set(nodeId, message)
            }
          })
        )
      yield* Effect.forEach(
        nodes.filter((node) => !silent.has(node.id)),
        ask,
        { concurrency: 32, discard: true }
      )
    }
    for (const [nodeId, message] of silent)
      yield* Console.error(`Node ${nodeId} did not say what it knows: ${message}`)
    const chain = search.chain()
    if (chain === undefined) {
      return yield* Effect.fail(
        new Error(`No node remembers message ${wanted}: it is too long ago, or it was not traced`)
      )
    }
    yield* asJson ? printJson(chain) : Console.log(showTrace(chain))
    if (cut || search.size >= mostMessages) yield* Console.error("There is more than is shown here")
  }, Effect.scoped)
).pipe(Command.withDescription("What led to a message, and what it led to, across the cluster"))
