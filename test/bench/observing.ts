/** What tracing and recording cost a local tell: processor time beside that of a system with neither, in one run. */
import process from "node:process"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem, type SystemOptions } from "#runtime/live.ts"
import { FlightRecorder } from "#runtime/recorder.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { until } from "#test/support/nats-server.ts"

const counter = actor<undefined, number, { readonly _tag: "Add"; readonly amount: number }, never>({
  kind: "counter",
  mailbox: { capacity: 1_000_000 },
  start: () => stay(0),
  decide: (sum, { amount }) => stay(sum + amount)
})
const host = makeLiveHost()
const to = address("n1", "counter", "main")
const tells = 100_000

async function tellMicros(more: Partial<SystemOptions>): Promise<number> {
  const transport = new MemoryBus(host).connect("n1")
  const system = makeSystem({ cluster: "bench", nodeId: "n1", host, transport, ...more })
  const tree = system.startTree(supervisor({ name: "bench", children: [permanent(counter)] }), "n1")
  const handled = (): number => system.trees()[0]?.children[0]?.handled ?? 0
  const before = process.cpuUsage()
  for (let i = 0; i < tells; i++) system.tell(to, { _tag: "Add", amount: i })
  await until(() => handled() === tells)
  const { user, system: kernel } = process.cpuUsage(before)
  tree.stop()
  system.close()
  return (user + kernel) / tells
}

const variants: Readonly<Record<string, () => Partial<SystemOptions>>> = {
  neither: () => ({}),
  "traced as the daemon does": () => ({ trace: {} }),
  "every tell traced": () => ({ trace: { rootsPerSecond: 1e9 } }),
  recorded: () => ({ recorder: new FlightRecorder({ nodeId: "n1", cluster: "bench" }) })
}
const best = new Map<string, number>()
for (let round = 0; round < 4; round++) {
  for (const [name, options] of Object.entries(variants)) {
    const micros = await tellMicros(options())
    // The first round is for the compilers.
    if (round > 0) best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, micros))
  }
}
const floor = best.get("neither") as number
for (const [name, micros] of best) {
  process.stdout.write(
    `${name.padEnd(28)} ${micros.toFixed(3)} µs a tell  (${(micros / floor).toFixed(2)} ×)\n`
  )
}
