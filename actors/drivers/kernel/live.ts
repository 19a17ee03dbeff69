/** This machine's kernel: read, compared with the tables, and changed where it differs. */
import { Effect, Layer } from "effect"
import type { Facts } from "#actors/drivers/firewall/describe.ts"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { isStretched, reconcile } from "#actors/drivers/kernel/reconcile.ts"
import { NodeRules } from "#actors/drivers/kernel/rules.ts"
import { batch, question } from "#actors/drivers/kernel/run.ts"
import { ForwardingEntries, type KernelState, Links, Neighbours } from "#actors/drivers/kernel/state.ts"
import { Kernel, type KernelService, type LayReport, nothingLaid } from "#actors/drivers/kernel.ts"
import type { OverlayTable } from "#actors/network/table.ts"

const links = question("ip", ["-d", "address", "show"], Links)
const forwarding = question("bridge", ["fdb", "show"], ForwardingEntries)
const neighbours = question("ip", ["neighbour", "show", "nud", "permanent"], Neighbours)

/** Entries are only worth reading where there is a device that has some. */
export const readKernel = Effect.gen(function* () {
  const devices = yield* links
  if (!devices.some(({ ifname }) => ifname.startsWith("vx-t"))) {
    return { links: devices, forwarding: [], neighbours: [] } satisfies KernelState
  }
  const [entries, met] = yield* Effect.all([forwarding, neighbours], { concurrency: 2 })
  return { links: devices, forwarding: entries, neighbours: met } satisfies KernelState
})

function layOn(facts: Facts) {
  const { nodeId } = facts
  const rules = new NodeRules(facts)
  return Effect.fn("kernel.lay")(function* (
    tables: ReadonlyArray<OverlayTable>,
    open?: ReadonlyArray<string>
  ) {
    const repair = reconcile(tables, yield* readKernel, nodeId)
    const problems = [...repair.problems]
    for (const [command, lines] of [
      ["ip", repair.ip],
      ["bridge", repair.bridge],
      ["ip", repair.ports]
    ] as const) {
      yield* batch(command, lines).pipe(
        Effect.catch(({ message }) => Effect.sync(() => void problems.push(`overlays: ${message}`)))
      )
    }
    const ruled = yield* rules.bring(tables, open)
    return {
      bridgeless: repair.bridgeless,
      changed: repair.ip.length + repair.bridge.length + ruled.changed,
      isWaiting: ruled.isWaiting,
      problems: [...problems, ...ruled.problems]
    } satisfies LayReport
  })
}

/** Overlays end at their bridges, which is said where another node takes part in one. */
const helpless = (why: string): KernelService => ({
  lay: (tables) =>
    Effect.succeed({
      ...nothingLaid,
      problems: tables
        .filter(isStretched)
        .map(({ name }) => `network ${name} does not reach other nodes from here: ${why}`)
    })
})

export const LiveKernel = {
  layer: ({ dockerHost, ...facts }: Facts & { readonly dockerHost: string }) => {
    const why = hindrance(dockerHost)
    if (why !== undefined) return Layer.succeed(Kernel, helpless(why))
    const lay = layOn(facts)
    return Layer.succeed(Kernel, {
      lay: (tables, open) =>
        lay(tables, open).pipe(
          Effect.catch(({ message }) =>
            Effect.succeed({ ...nothingLaid, problems: [`overlays: ${message}`] })
          )
        )
    })
  }
}
