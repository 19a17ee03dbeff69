/** A manager reduced to its nats-server, as a process of its own that tests can kill. */
import process from "node:process"
import { Effect } from "effect"
import { startNatsServer } from "#actors/nats/server.ts"

const [dataDir = "", port = "0"] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const server = yield* startNatsServer({ dataDir, nodeId: "n1", port: Number(port) })
  console.log(JSON.stringify({ url: server.url, credentials: server.credentials, status: server.status() }))
  yield* Effect.callback<void>((resume) => {
    process.once("SIGTERM", () => resume(Effect.void))
  })
})

await Effect.runPromise(Effect.scoped(program))
process.exit(0)
