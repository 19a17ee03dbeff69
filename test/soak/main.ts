/**
 * `bun run soak:actors --minutes 10 [--asks-per-minute 50000] [--seed 1]`: prints what broke and a table at the end, and
 * ends with 1 when something was not as it must be.
 */
import process from "node:process"
import { parseArgs } from "node:util"
import { soak } from "#test/soak/soak.ts"
import { conclude } from "#test/soak/verdict.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    "asks-per-minute": { type: "string", default: "50000" },
    seed: { type: "string", default: "1" }
  }
})
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130))

const minutes = Number(values.minutes)
const { heap, resident, notes, ...result } = await soak({
  seconds: minutes * 60,
  asksPerMinute: Number(values["asks-per-minute"]),
  seed: Number(values.seed),
  print: console.log
})
const problems = [...result.problems]
// Three standard errors: noise reaches that once in 300 runs; and less than 1 % a minute is not worth a wake-up.
if (heap.warm && heap.slope - 3 * heap.error > heap.mean * 0.01) problems.push("the heap grows")

const rows: ReadonlyArray<readonly [string, string]> = [
  ["asked", `${result.asked}, ${Math.round(result.asked / minutes)} a minute`],
  ...Object.entries(result.outcomes)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => [`  ${name}`, String(count)] as const),
  ...Object.entries(result.faults).map(([name, count]) => [name, String(count)] as const),
  ["watches that told", String(result.told)],
  ["tells", `${notes.sent}, of which ${notes.heard} were heard`],
  ["latest outcome", `${result.latest} rounds of its event loop after its deadline; 5 are borne`],
  ["longest round seen", `${result.longestRoundMs.toFixed(0)} ms, of 10 at best`],
  [
    "heap after collection, n1",
    `${heap.mean.toFixed(0)} kB, slope ${heap.slope.toFixed(1)} ± ${heap.error.toFixed(1)} kB a minute over ${heap.samples} samples${heap.warm ? "" : "; not judged, the run is too short to be warm"}`
  ]
]
conclude(rows, problems)
