/**
 * More seeds by hand: `bun test/simulation/soak.ts 1000 5000` runs the seeds from 1000 to 5000 and prints those that
 * fail, each with the end of its trace; without numbers, it goes on from 1001 until it is stopped.
 */
import process from "node:process"
import { run } from "#test/simulation/mixture.ts"

const [first = 1_001, last = Number.POSITIVE_INFINITY] = process.argv.slice(2).map(Number)
let failed = 0
let done = 0
const began = performance.now()
for (let seed = first; seed <= last; seed++) {
  try {
    run(seed)
  } catch (error) {
    failed++
    console.log(error instanceof Error ? error.message : error)
  }
  done++
  if (done % 100 === 0 || seed === last) {
    const seconds = ((performance.now() - began) / 1_000).toFixed(1)
    console.log(`${done} seeds, ${failed} failed, ${seconds} s`)
  }
}
process.exit(failed === 0 ? 0 : 1)
