/** A daemon reduced to its data plane, as a process of its own that tests can kill. */
import process from "node:process"
import { Effect } from "effect"
import { startDataPlane } from "#actors/drivers/data-plane/live.ts"

const [dataDir = "", runDir = "", table = "[]"] = process.argv.slice(2)

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const plane = yield* startDataPlane({ dataDir, runDir })
      yield* plane.publish(JSON.parse(table))
      console.log("ready")
      yield* Effect.never
    })
  )
)
