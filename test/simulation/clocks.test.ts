/** Random lives of a cluster whose machines' clocks are set, too, by up to a day, ahead and back. */
import { setDefaultTimeout, test } from "bun:test"
import process from "node:process"
import { run } from "#test/simulation/mixture.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

const chosen = process.env.SEED
const seeds = chosen === undefined ? Array.from({ length: 40 }, (_, at) => at + 1) : [Number(chosen)]

for (const seed of seeds) {
  test(`seed ${seed}: whatever clocks show, no law is broken, and the cluster comes to what was asked for`, () => {
    run(seed, true)
  })
}
