/**
 * What people do to a cluster, by chance and in haste: nodes join, leave, are promoted, demoted, drained, restarted, killed and frozen; their nats-servers
 * are killed; disks are locked; tokens, keys, the root certificate and services change. After each round everything has to be as it was ordered.
 *
 *     bun run soak:operators [--minutes 10] [--seed N] [--nodes 5]
 *
 * Ends with 1 where that is not so within a minute, with what the nodes said last. What was refused, and how often, is printed at the end.
 */
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { parseArgs } from "node:util"
import { differences } from "#test/soak/operators/differences.ts"
import { orders } from "#test/soak/operators/orders.ts"
import { managersOf, openSite } from "#test/soak/operators/site.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    nodes: { type: "string", default: "5" }
  }
})
const numberOf = (name: keyof typeof values): number => {
  const number = Number(values[name])
  if (!(number > 0)) throw new Error(`--${name} '${values[name]}': expected a number above 0`)
  return number
}
const [minutes, seed, count] = [numberOf("minutes"), numberOf("seed"), numberOf("nodes")]

const ordersARound = 12
const settledWithinMs = 60_000
const began = performance.now()
const say = (text: string): void =>
  console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s  ${text}`)

const site = await openSite(count, seed)
const { chance } = site
const names = Object.entries(orders).flatMap(([name, { weight }]) => Array<string>(weight).fill(name))

async function orderOne(): Promise<void> {
  const managers = await managersOf(site)
  const by = managers[chance.below(managers.length)]
  const name = names[chance.below(names.length)] as string
  const did = by && (await orders[name]?.give(site, by))
  if (did !== undefined && by !== undefined) say(`${name}: ${did} (by ${site.nameOf(by)})`)
}

let left: ReadonlyArray<string> = []
try {
  const endsAt = performance.now() + minutes * 60_000
  for (let round = 1; performance.now() < endsAt && left.length === 0; round++) {
    say(`round ${round} of seed ${seed}`)
    for (let n = 0; n < ordersARound; n++) {
      // Whoever was asked may just have ceased to be a manager.
      await orderOne().catch((error: Error) => say(`not now: ${error.message}`))
      if (chance.below(3) === 0) await pause(chance.below(2_500))
    }
    await site.quiet()
    const quietAt = performance.now()
    const quietMs = (): number => performance.now() - quietAt
    do {
      left = await differences(site).catch((error: Error) => [error.message])
      if (left.length > 0) await pause(500)
    } while (left.length > 0 && quietMs() < settledWithinMs)
    if (left.length === 0) say(`as ordered after ${(quietMs() / 1_000).toFixed(1)} s`)
  }
  for (const line of left) say(line)
  if (left.length > 0)
    for (const node of site.nodes) console.log(`${site.nameOf(node)}:\n${(await node.log()).slice(-4_000)}`)
  for (const [what, times] of [...site.refused].sort((one, other) => other[1] - one[1]))
    console.log(`${times} × ${what}`)
} finally {
  await site.close()
}
process.exit(left.length > 0 ? 1 : 0)
