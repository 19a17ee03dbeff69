/**
 * `bun run soak:managers --minutes 10 [--writes-per-second 200] [--seed 1]`: as root on Linux, with no lab up. Prints
 * what befell whom and a table at the end, and ends with 1 when something was not as it must be.
 */
import { parseArgs } from "node:util"
import { soakManagers } from "#test/soak/managers/soak.ts"
import { conclude } from "#test/soak/verdict.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    "writes-per-second": { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) }
  }
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
console.log(`seed ${seed}`)
const result = await soakManagers({
  seconds: minutes * 60,
  writesPerSecond: Number(values["writes-per-second"]),
  seed,
  print: console.log
})
conclude(
  [
    ["writes acknowledged", `${result.writes}, ${Math.round(result.writes / minutes / 60)} a second`],
    ["  objects created", String(result.created)],
    ["  lost races", String(result.lostRaces)],
    ["  of unknown end", String(result.unknown)],
    ["reads answered", `${result.reads}; ${result.unanswered} were not`],
    ...Object.entries(result.faults).map(([name, count]) => [name, String(count)] as const),
    [
      "longest without a write",
      `${result.longestGapMs.toFixed(0)} ms with a majority there (${result.duringGap}); ${result.longestGapWithout.toFixed(0)} ms without`
    ],
    ["history judged", `${result.operations} operations of ${result.keys} registers`],
    [
      "disks compared",
      `at entry ${result.entries}: snapshots of ${result.snapshotBytes} bytes; ${result.digests} digests in the log since the last one`
    ],
    ["seed", String(seed)]
  ],
  result.problems
)
