/** Prints what seeds come to, one `name hash` a line: `bun test/runtime/simulation/print-hashes.ts 1 2 3`. */
import process from "node:process"
import { chat } from "#test/runtime/simulation/kernel.ts"
import { run } from "#test/runtime/simulation/mixture.ts"

for (const seed of process.argv.slice(2).map(Number)) {
  process.stdout.write(`chat-${seed} ${chat(seed).traceHash()}\nmixture-${seed} ${run(seed).traceHash()}\n`)
}
