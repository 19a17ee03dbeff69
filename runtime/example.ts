/** Two supervised actors, a crash, a watch and an ask: `bun runtime/example.ts`, or `deno run -A runtime/example.ts`. */
import { Effect } from "effect"
import { reply, watch } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { end, stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { runMain } from "#runtime/main.ts"
import { supervisor, transient } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"

type TillMessage = { _tag: "Sell"; price: number } | { _tag: "Total" } | { _tag: "Close" }
const [theTill, theGuard] = [address("shop", "till", "main"), address("shop", "guard", "main")]

const till = actor<undefined, number, TillMessage, never>({
  kind: "till",
  start: () => stay(0),
  decide: (total, message, { asker }) => {
    switch (message._tag) {
      case "Sell":
        if (message.price < 0) throw new Error("nothing costs less than nothing")
        return stay(total + message.price)
      case "Total":
        return asker ? stay(total, reply(asker, total)) : stay(total)
      case "Close":
        return end(total)
    }
  }
})

const guard = actor<undefined, null, { _tag: "Closed" }, { _tag: "Say"; words: string }>({
  kind: "guard",
  start: () => stay(null, watch(theTill, { _tag: "Closed" })),
  decide: () => end(null, { _tag: "Say", words: "the till has closed" }),
  perform: ({ words }) => Effect.sync(() => console.log(`The guard says: ${words}`))
})

const host = makeLiveHost()
const system = makeSystem({
  cluster: "example",
  nodeId: "shop",
  host,
  transport: new MemoryBus(host).connect("shop"),
  report: (event) => event._tag === "Crashed" && console.log(`${event.name} crashed: ${event.error}`)
})
const total = system.ask<number>(theTill, { _tag: "Total" }, 5_000)

const program = Effect.gen(function* () {
  yield* system.run(supervisor({ name: "shop", children: [transient(till), transient(guard)] }), "shop")
  for (const price of [5, 7]) system.tell(theTill, { _tag: "Sell", price })
  console.log(`The till has ${yield* total}`)
  for (const price of [-1, 3]) system.tell(theTill, { _tag: "Sell", price })
  console.log(`A new till has ${yield* total}: the old total is gone, what waited in the mailbox is not`)
  system.tell(theTill, { _tag: "Close" })
  yield* Effect.callback<void>((resume) => void system.watch(theGuard, () => resume(Effect.void)))
})
runMain(Effect.scoped(program))
