/**
 * Sixty tasks on five machines of a lab, while machines are killed, cut off, frozen and drained; at the end everything
 * that is wanted runs exactly once, as the Engines themselves say.
 *
 *     bun run soak:lab [--minutes 15] [--seed N]      needs Linux, root, and no lab that is up
 *
 * Ends with 1 where anything runs twice, or not at all, five minutes after the last fault.
 */
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Fresh } from "#runtime/ids.ts"
import { elapsed } from "#test/bench/vs-swarm/api.ts"
import { openSite } from "#test/bench/vs-swarm/site.ts"
import { deployAll, differences } from "#test/soak/lab/census.ts"
import { draw } from "#test/soak/lab/faults.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "15" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) }
  }
})
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new Error(`--minutes '${values.minutes}': expected a number above 0`)
const seed = Number(values.seed)
if (!Number.isInteger(seed)) throw new Error(`--seed '${values.seed}': expected a whole number`)

const settledWithinMs = 300_000
const began = performance.now()
const say = (text: string): void => {
  console.log(`${((performance.now() - began) / 1_000).toFixed(0).padStart(5)} s  ${text}`)
}

const chance = Fresh.from(seed)
const site = await openSite("troupe", 5, 3)
const keep = whenInterrupted(site.close)
const counts: Record<string, number> = {}
let failed = false
try {
  say(`seed ${seed}: five machines are up`)
  await deployAll(site)
  say("sixty tasks run")
  const endsAt = performance.now() + minutes * 60_000
  while (performance.now() < endsAt) {
    const fault = draw(chance, site)
    counts[fault.kind] = (counts[fault.kind] ?? 0) + 1
    const forMs = 500 + chance.below(15_000)
    say(`${fault.kind} of ${fault.machine.name}, for ${forMs} ms`)
    await fault.begin()
    await pause(forMs)
    await fault.end()
    await pause(chance.below(5_000))
  }
  say("quiet")
  let left: ReadonlyArray<string> = []
  const settledAfter = await elapsed(
    "everything once",
    async () => {
      left = await differences(site)
      return left.length === 0
    },
    1_000,
    settledWithinMs
  ).catch(() => undefined)
  failed = settledAfter === undefined
  for (const line of left) say(line)
  if (settledAfter !== undefined)
    say(`all sixty run exactly once, ${(settledAfter / 1_000).toFixed(1)} s after`)
  say(
    Object.entries(counts)
      .map(([kind, count]) => `${count} × ${kind}`)
      .join(", ")
  )
} finally {
  keep()
  await site.close()
}
process.exit(failed ? 1 : 0)
