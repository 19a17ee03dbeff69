/** Reads a log beside the thread that serves; started by `keeper.ts`, ends with its answer. */
import { parentPort, workerData } from "node:worker_threads"
import { type RebuildInput, rebuild } from "#actors/history/rebuild.ts"

export type RebuildAnswer =
  | ({ readonly _tag: "Rebuilt" } & ReturnType<typeof rebuild>)
  | { readonly _tag: "Failed"; readonly message: string }

let answer: RebuildAnswer
try {
  answer = { _tag: "Rebuilt", ...rebuild(workerData as RebuildInput) }
} catch (error) {
  answer = { _tag: "Failed", message: (error as Error).message }
}
parentPort?.postMessage(answer)
