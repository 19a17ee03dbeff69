/** Prints the hashes of some seeds' traces, for comparing processes and runtimes. */
import process from "node:process"
import { runSeed } from "#test/simulation/raft/run.ts"

for (const seed of process.argv.slice(2)) console.log(runSeed(Number(seed)).hash)
