/**
 * The whole flag sweep: `bun test/conformance/main.ts [--target troupe|swarm|both] [--cli version] [--only pattern] [--write]`.
 *
 * `both` runs each case on Troupe and on Docker's Swarm and lists where they differ; `--write` makes `RESULTS.md` anew.
 */
import { writeFile } from "node:fs/promises"
import process from "node:process"
import { parseArgs } from "node:util"
import { cases, commandsOf } from "#test/conformance/cases.ts"
import { reasonFor } from "#test/conformance/differences.ts"
import { type Difference, resultsOf, runnable, uncovered } from "#test/conformance/results.ts"
import { type Outcome, sweep } from "#test/conformance/sweep.ts"
import { openTarget } from "#test/conformance/target.ts"
import { clis } from "#test/support/docker-cli.ts"

const { values } = parseArgs({
  options: {
    target: { type: "string", default: "troupe" },
    cli: { type: "string", default: "" },
    only: { type: "string" },
    write: { type: "boolean", default: false }
  }
})
const kinds = (["troupe", "swarm"] as const).filter((one) => [one, "both"].includes(values.target))
if (kinds.length === 0) throw new Error(`--target '${values.target}': expected troupe, swarm or both`)
const cli = clis.find(({ version }) => version.startsWith(values.cli))
if (cli === undefined) throw new Error(`--cli ${values.cli}: expected the version of an installed docker CLI`)
const { only = "" } = values
const chosen = new RegExp(only)
const commands = commandsOf(cli.path)
const wanted = runnable(cases, commands).filter((one) => chosen.test(titleOf(one)))

function titleOf({ command, flags }: Outcome["tried"]): string {
  return `docker ${command} ${flags.join(" ")}`
}

const seen = new Map<string, Array<string>>()
let failed = 0
for (const kind of kinds) {
  const target = await openTarget(kind)
  const began = performance.now()
  try {
    await sweep(target, wanted, cli.path, ({ tried, failure, seen: value }) => {
      const title = `${titleOf(tried)}: ${tried.says}`
      if (failure !== undefined && !(kind === "swarm" && reasonFor(title))) failed++
      console.log(`${kind} ${failure === undefined ? "ok  " : "FAIL"} ${title}`)
      if (failure !== undefined) console.log(`       ${failure}`)
      seen.set(title, [...(seen.get(title) ?? []), failure === undefined ? JSON.stringify(value) : "fails"])
    })
  } finally {
    await target.close()
  }
  console.log(`${kind}: ${wanted.length} cases, ${((performance.now() - began) / 1000).toFixed(0)} s`)
}
const differences: Array<Difference> = []
for (const [title, [troupe = "", swarm = ""]] of seen) {
  if (kinds.length < 2 || troupe === swarm) continue
  const reason = reasonFor(title)
  if (reason === undefined) failed++
  differences.push({ title, reason: reason ?? "unexplained" })
  console.log(`differs: ${title}\n  troupe ${troupe}\n  swarm  ${swarm}\n  ${reason ?? "unexplained"}`)
}
const missing = uncovered(commands, cases)
for (const one of missing) console.log(one)
if (values.write && failed + missing.length === 0 && only === "") {
  const results = resultsOf(commands, cases, cli.version, kinds.length < 2 ? undefined : differences)
  await writeFile(new URL("RESULTS.md", import.meta.url), results)
}
console.log(`${failed} failed, ${missing.length} flags without a case`)
process.exit(failed + missing.length > 0 ? 1 : 0)
