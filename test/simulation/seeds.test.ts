/**
 * Two hundred random lives of a cluster. `SEED=17 bun test test/simulation` replays one of them and prints its whole
 * trace hash; a failure prints the seed and the end of its trace. `bun run sim cluster` runs as many more as one likes.
 */
import { expect, setDefaultTimeout, test } from "bun:test"
import process from "node:process"
import { run } from "#test/simulation/mixture.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

const chosen = process.env.SEED
const seeds = chosen === undefined ? Array.from({ length: 200 }, (_, at) => at + 1) : [Number(chosen)]

/** Each of these is run twice. */
const sample = chosen === undefined ? [3, 58, 113, 167] : seeds

const hashes = new Map<number, string>()

for (const seed of seeds) {
  test(`seed ${seed}: whatever breaks, no law does, and the cluster comes to what was asked for`, () => {
    hashes.set(seed, run(seed).host.traceHash())
  })
}

for (const seed of sample) {
  test(`seed ${seed} gives the same trace every time`, () => {
    expect(run(seed).host.traceHash()).toBe(hashes.get(seed) ?? "")
  })
}

test("no two seeds give the same trace", () => {
  expect(new Set(hashes.values()).size).toBe(seeds.length)
})
