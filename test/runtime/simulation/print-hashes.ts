/** Prints the trace hash of each seed that it is given: `bun test/runtime/simulation/print-hashes.ts 1 2 3`. */
import process from "node:process"
import { run } from "#test/runtime/simulation/mixture.ts"

for (const seed of process.argv.slice(2)) process.stdout.write(`${seed} ${run(Number(seed)).traceHash()}\n`)
