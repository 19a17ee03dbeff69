/** A client of NATS as a process of its own, for tests to freeze: it hears a flood, answers, and says how it fares. */
import process from "node:process"
import { Effect } from "effect"
import { natsTransport } from "#runtime/transport/nats.ts"

const [url = "", user = "", password = ""] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const transport = yield* natsTransport({ servers: [url], nodeId: "child", user, password })
  transport.onStatus((status) => console.log(JSON.stringify(status)))
  let seen = 0
  transport.subscribe("flood", {}, () => seen++)
  transport.subscribe("echo.child", {}, (delivery) =>
    delivery.respond?.({ seen: String(seen), ...counted(transport.counters()) }, delivery.body)
  )
  console.log(JSON.stringify({ _tag: "Ready" }))
  yield* Effect.never
})

const counted = (counters: { readonly disconnects: number; readonly problems: number }) => ({
  disconnects: String(counters.disconnects),
  problems: String(counters.problems)
})

await Effect.runPromise(Effect.scoped(program))
