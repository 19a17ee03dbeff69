/** One seed of a whole cluster, and what is said about it when it fails. */
import { run } from "#test/simulation/mixture.ts"
import type { Ran } from "#test/simulation/run.ts"

/** Runs a seed. What breaks is an answer, not an exception. */
export function runSeed(seed: number): Ran {
  try {
    return { committed: run(seed).ledger.index, marks: [], problem: undefined }
  } catch (error) {
    return { committed: 0, marks: [], problem: error instanceof Error ? error.message : String(error) }
  }
}

/** Everything there is to say about a seed that fails: it ends with the end of its trace. */
export const explain = (seed: number): string =>
  [
    runSeed(seed).problem ?? `seed ${seed}: it went well this time`,
    `Replay with: SEED=${seed} bun test test/simulation/seeds.test.ts`
  ].join("\n")
