/**
 * What requests cost three managers without Engines: processor time of all their processes for each, by who spent it,
 * because milliseconds depend on who else uses the machine.
 *
 *     bun test/bench/requests.ts [--door leader|follower] [--rounds 4] [--count 800]
 *
 * The first round of creates finds processes that have just started. With BUN_OPTIONS="--cpu-prof --cpu-prof-dir=DIR" the
 * managers leave their profiles.
 */
import { loadavg } from "node:os"
import process from "node:process"
import { parseArgs } from "node:util"
import { table } from "#cli/print/table.ts"
import { processorOf, since, totalOf } from "#test/bench/raft/processor.ts"
import { call, type ServiceView, specOf } from "#test/bench/vs-swarm/api.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { uniqueName } from "#test/support/engine.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"
import { Managers } from "#test/support/managers.ts"

const { values } = parseArgs({
  options: {
    door: { type: "string", default: "leader" },
    rounds: { type: "string", default: "4" },
    count: { type: "string", default: "800" }
  }
})
const clients = 16
const [rounds, count] = [Number(values.rounds), Number(values.count)]

const managers = await Managers.start(3)
const keep = whenInterrupted(() => managers.cleanUp())
const leader = await managers.leader()
const [follower = leader, other = leader] = managers.others(leader)
const door = (values.door === "follower" ? follower : leader).socket
const spenders: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
  ["leader", [leader.pid]],
  ["followers", [follower.pid, other.pid]],
  ["nats-servers", managers.all.map((one: Cluster) => one.natsPid)],
  ["client", [process.pid]]
]

const rows: Array<ReadonlyArray<string>> = []
const spentBy = (pids: ReadonlyArray<number>) => pids.map(processorOf)

/** Asks `count` times, by so many clients at once, and notes what each took. */
async function measure(
  what: string,
  count: number,
  clients: number,
  request: (at: number) => Promise<unknown>
): Promise<void> {
  const before = spenders.map(([, pids]) => spentBy(pids))
  const took: Array<number> = []
  let next = 0
  const began = performance.now()
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (let at = next++; at < count; at = next++) {
        const asked = performance.now()
        await request(at)
        took.push(performance.now() - asked)
      }
    })
  )
  const perSecond = count / ((performance.now() - began) / 1_000)
  took.sort((a, b) => a - b)
  const at = (share: number): string => (took[Math.ceil(share * count) - 1] ?? Number.NaN).toFixed(2)
  const spent = spenders.map(([, pids], i) =>
    spentBy(pids).reduce((sum, now, j) => sum + totalOf(since(before[i]?.[j] ?? new Map(), now)), 0)
  )
  const servers = spent.slice(0, -1)
  const shown = [...servers, servers.reduce((sum, ms) => sum + ms, 0), ...spent.slice(-1)]
  const each = shown.map((ms) => ((1_000 * ms) / count).toFixed(0))
  rows.push([what, perSecond.toFixed(0), at(0.5), at(0.99), ...each, loadavg()[0]?.toFixed(1) ?? ""])
}

const create = async (): Promise<string> =>
  (await call<{ readonly ID: string }>(door, "POST", "/services/create", specOf(uniqueName("bench"), 0))).ID

try {
  const ids: Array<string> = []
  for (let round = 1; round <= rounds; round++) {
    await measure(`creates, round ${round}`, count, clients, async () => ids.push(await create()))
  }
  const name = uniqueName("updates")
  await call(door, "POST", "/services/create", specOf(name, 0))
  let service = await call<ServiceView>(door, "GET", `/services/${name}`)
  const look = async () => {
    service = await call<ServiceView>(door, "GET", `/services/${name}`)
  }
  for (let round = 1; round <= 2; round++) {
    await measure(`updates and looks, round ${round}`, 300, 1, async (at) => {
      const spec = { ...service.Spec, Labels: { at: `${round}-${at}` } }
      await call(door, "POST", `/services/${service.ID}/update?version=${service.Version.Index}`, spec)
      await look()
    })
  }
  await measure("removals", ids.length - 99, 1, () => call(door, "DELETE", `/services/${ids.pop()}`))
  await measure("looks at one", 500, 1, look)
  for (let round = 1; round <= 2; round++) {
    await measure(`lists of 100, round ${round}`, 300, 1, () => call(door, "GET", "/services"))
  }
  await managers.agreed()
} finally {
  keep()
  console.log(
    table(
      [
        "",
        "A SECOND",
        "P50 ms",
        "P99 ms",
        "LEADER µs",
        "FOLLOWERS µs",
        "NATS µs",
        "ALL µs",
        "CLIENT µs",
        "LOAD"
      ],
      rows
    )
  )
  // In order, so that they write their profiles.
  for (const one of managers.all) await one.stop()
  await managers.cleanUp()
}
process.exit(0)
