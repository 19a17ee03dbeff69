/**
 * Troupe beside Docker's own Swarm, on labs of the same shape one after the other: the same requests to both, over the
 * Docker API, TLS between the nodes. Needs Linux, root, and no lab that is up.
 *
 *     bun test/bench/vs-swarm.ts [--runs 3] [--managers 3] [--machines 5] [--only troupe|swarm] [creates|deploy|…]
 *
 * Milliseconds but for creates; the median of the runs, and the least and the most. Machines share one computer, so it is
 * ratios that count. Ends with 1 when a target is missed.
 */
import { loadavg } from "node:os"
import process from "node:process"
import { parseArgs } from "node:util"
import { table } from "#cli/print/table.ts"
import { type Figures, type Measure, measures, median } from "#test/bench/vs-swarm/measures.ts"
import { openSite } from "#test/bench/vs-swarm/site.ts"
import type { Machine } from "#test/lab/machines.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"

type Orchestrator = Machine["orchestrator"]

/** What Troupe must reach: in the row's own unit, or as a ratio to Swarm's figure in this run. */
interface Target {
  readonly atMost?: number
  readonly ratioAtMost?: number
  readonly ratioAtLeast?: number
}

const targets: Readonly<Record<string, Target>> = {
  "service creates a second, 16 clients": { ratioAtLeast: 10 },
  "service update, p50": { ratioAtMost: 1 },
  "list of 100 services, p50": { ratioAtMost: 1 },
  deploy: { ratioAtMost: 1 },
  "killed container → replacement": { ratioAtMost: 1 },
  "worker cut off → its tasks run elsewhere": { atMost: 4_000 },
  "leader killed (-9) → next accepted write": { atMost: 1_000 },
  "leader's node cut off → next accepted write": { atMost: 1_200 },
  "leader's node cut off → its tasks run elsewhere": { atMost: 5_000 }
}
const mostOverFloor = 1.05

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "3" },
    managers: { type: "string", default: "3" },
    machines: { type: "string", default: "5" },
    only: { type: "string" }
  }
})
const numberOf = (name: "runs" | "managers" | "machines"): number => {
  const number = Number(values[name])
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${name} '${values[name]}': expected a whole number from 1`)
  return number
}

const wanted = measures.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
const unknown = positionals.filter((name) => !measures.some((measure) => measure.name === name))
if (unknown.length > 0)
  throw new Error(`'${unknown[0]}': expected one of ${measures.map(({ name }) => name).join(", ")}`)
const orchestrators = (["troupe", "swarm"] as const).filter(
  (one) => values.only === undefined || values.only === one
)
if (orchestrators.length === 0) throw new Error(`--only '${values.only}': expected troupe or swarm`)

async function measureAll(orchestrator: Orchestrator, which: ReadonlyArray<Measure>): Promise<Figures> {
  const site = await openSite(orchestrator, numberOf("machines"), numberOf("managers"))
  const keep = whenInterrupted(site.close)
  const figures: Figures = {}
  try {
    for (const measure of which) {
      const load = loadavg()[0]?.toFixed(1)
      const measured = await measure.run(site, numberOf("runs"))
      for (const [row, numbers] of Object.entries(measured))
        console.error(
          `  ${orchestrator}: ${row}: ${numbers.map((n) => n.toFixed(1)).join(" ")} (load ${load})`
        )
      Object.assign(figures, measured)
    }
  } finally {
    keep()
    await site.close()
  }
  return figures
}

const found: Partial<Record<Orchestrator, Figures>> = {}
for (const orchestrator of orchestrators) found[orchestrator] = await measureAll(orchestrator, wanted)

const shown = (numbers: ReadonlyArray<number> | undefined): string => {
  if (numbers === undefined) return ""
  const middle = median(numbers).toFixed(1)
  return numbers.length === 1
    ? middle
    : `${middle} (${Math.min(...numbers).toFixed(0)}–${Math.max(...numbers).toFixed(0)})`
}

const missed: Array<string> = []
function verdictOf(row: string, ours: number, ratio: number): string {
  const { atMost, ratioAtMost, ratioAtLeast } = targets[row] ?? {}
  const words: Array<string> = []
  const judge = (holds: boolean, target: string): void => {
    words.push(`${target} ${holds ? "met" : "MISSED"}`)
    if (!holds) missed.push(row)
  }
  if (atMost !== undefined) judge(ours <= atMost, `≤ ${atMost}`)
  if (!Number.isNaN(ratio) && ratioAtMost !== undefined) judge(ratio <= ratioAtMost, `≤ ${ratioAtMost} ×`)
  if (!Number.isNaN(ratio) && ratioAtLeast !== undefined) judge(ratio >= ratioAtLeast, `≥ ${ratioAtLeast} ×`)
  return words.join(", ")
}

const rows = Object.keys(found.troupe ?? found.swarm ?? {}).map((row) => {
  const [ours, theirs] = [found.troupe?.[row], found.swarm?.[row]]
  const ratio = ours && theirs ? median(ours) / median(theirs) : Number.NaN
  const verdict = ours === undefined ? "" : verdictOf(row, median(ours), ratio)
  return [row, shown(ours), shown(theirs), Number.isNaN(ratio) ? "" : `${ratio.toFixed(2)} ×`, verdict]
})
console.log(table(["", "TROUPE", "SWARM", "RATIO", "TARGET"], rows))
for (const orchestrator of orchestrators) {
  const { deploy, "containers straight on the Engines": floor } = found[orchestrator] ?? {}
  if (deploy === undefined || floor === undefined) continue
  const over = median(deploy) / median(floor)
  const isMissed = orchestrator === "troupe" && over > mostOverFloor
  if (isMissed) missed.push("deploy beside the Engines alone")
  console.log(
    `${orchestrator}: deploy is ${over.toFixed(2)} × the Engines alone${isMissed ? ", MISSED" : ""}`
  )
}
console.log(missed.length === 0 ? "All targets are met." : `Missed: ${missed.join("; ")}`)
process.exit(missed.length === 0 ? 0 : 1)
