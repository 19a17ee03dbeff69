/** A manager reduced to its nats-server, as a process of its own that tests can kill; it starts when it is told to. */
import { once } from "node:events"
import process from "node:process"
import { Effect } from "effect"
import { startNatsServer } from "#actors/nats/server.ts"

const [dataDir = "", port = "0", nodeId = "n1", routes] = process.argv.slice(2)
const cluster =
  routes === undefined
    ? undefined
    : {
        name: "c1",
        host: "127.0.0.1",
        port: 0,
        user: "route",
        password: "s3:cret/",
        routes: JSON.parse(routes)
      }

const program = Effect.gen(function* () {
  const server = yield* startNatsServer({
    dataDir,
    nodeId,
    clusterId: "c1",
    port: Number(port),
    ...(cluster && { cluster })
  })
  const { url, route, credentials } = server
  console.log(JSON.stringify({ url, route, credentials: credentials.daemon, status: server.status() }))
  yield* Effect.callback<void>((resume) => {
    process.once("SIGTERM", () => resume(Effect.void))
  })
})

console.log("loaded")
await once(process.stdin, "data")
await Effect.runPromise(Effect.scoped(program))
process.exit(0)
