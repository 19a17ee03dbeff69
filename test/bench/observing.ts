/**
 * What tracing and recording cost a local tell, beside a system with neither.
 *
 *     bun test/bench/observing.ts [rounds]
 *
 * An actor tells another one a hundred times a turn. Variants take turns within each round, the one that begins changes,
 * and what is printed is the median over the rounds of processor time per tell, and of its ratio to that round's
 * `neither`.
 */

import process from "node:process"
import { type CommonAction, tell } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem, type SystemOptions } from "#runtime/live.ts"
import { FlightRecorder } from "#runtime/recorder.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { median } from "#test/bench/raft/figures.ts"

const tells = 1_000_000
const batch = 100
const to = address("n1", "counter", "main")
const host = makeLiveHost()
let done = (): void => {}

const counter = actor<undefined, number, { readonly _tag: "Add"; readonly amount: number }, never>({
  kind: "counter",
  mailbox: { capacity: tells },
  start: () => stay(0),
  decide: (heard, { amount }) => {
    if (heard + amount === tells) done()
    return stay(heard + amount)
  }
})
const teller = actor<undefined, number, { readonly _tag: "Go" }, never>({
  kind: "teller",
  start: () => stay(tells),
  decide: (left, message, { self }) => {
    const actions: CommonAction[] = []
    for (let i = 0; i < batch; i++) actions.push(tell(to, { _tag: "Add", amount: 1 }))
    if (left > batch) actions.push(tell(self, message))
    return { state: left - batch, actions }
  }
})

async function tellMicros(more: Partial<SystemOptions>): Promise<number> {
  const transport = new MemoryBus(host).connect("n1")
  const system = makeSystem({ cluster: "bench", nodeId: "n1", host, transport, ...more })
  const children = [permanent(counter), permanent(teller)]
  const tree = system.startTree(supervisor({ name: "bench", children }), "n1")
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const before = process.cpuUsage()
  system.tell(address("n1", "teller", "main"), { _tag: "Go" })
  await all
  const { user, system: kernel } = process.cpuUsage(before)
  tree.stop()
  system.close()
  return (user + kernel) / tells
}

const recorder = (): FlightRecorder => new FlightRecorder({ nodeId: "n1", cluster: "bench" })
const variants: ReadonlyArray<readonly [string, () => Partial<SystemOptions>]> = [
  ["neither", () => ({})],
  ["traced", () => ({ trace: {} })],
  ["recorded", () => ({ recorder: recorder() })],
  ["traced and recorded, as the daemon is", () => ({ trace: {}, recorder: recorder() })],
  ["every tell traced", () => ({ trace: { rootsPerSecond: 1e9 } })]
]

const rounds = Number(process.argv[2] ?? 9)
const taken = new Map<string, number[]>(variants.map(([name]) => [name, []]))
// The first two rounds are for the compilers.
for (let round = -2; round < rounds; round++) {
  for (let i = 0; i < variants.length; i++) {
    const [name, options] = variants[(i + round + 2) % variants.length] as (typeof variants)[number]
    const micros = await tellMicros(options())
    if (round >= 0) taken.get(name)?.push(micros)
  }
}
const floor = taken.get("neither") as ReadonlyArray<number>
for (const [name, micros] of taken) {
  const ratio = median(micros.map((one, round) => one / (floor[round] as number)))
  process.stdout.write(`${name.padEnd(40)} ${median(micros).toFixed(3)} µs a tell  (${ratio.toFixed(2)} ×)\n`)
}
process.exit(0)
