/** This machine's kernel: read, compared with the tables, and changed where it differs. */
import { Effect, Layer } from "effect"
import type { Facts } from "#actors/drivers/firewall/describe.ts"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { links } from "#actors/drivers/kernel/links.ts"
import { isStretched, reconcile } from "#actors/drivers/kernel/reconcile.ts"
import { NodeRules } from "#actors/drivers/kernel/rules.ts"
import { batch, question } from "#actors/drivers/kernel/run.ts"
import { ForwardingEntries, type KernelState, Neighbours } from "#actors/drivers/kernel/state.ts"
import { Kernel, type KernelService, type LayReport, nothingLaid } from "#actors/drivers/kernel.ts"
import { Tunnels } from "#actors/drivers/wireguard/tunnels.ts"
import type { OverlayTable } from "#actors/network/table.ts"

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

/** Only reading may be interrupted: what was begun to be written is written, and known to be. */
function layOn({ nodeId }: Facts, tunnels: Tunnels, rules: NodeRules) {
  const lay = Effect.fn("kernel.lay")(function* (
    tables: ReadonlyArray<OverlayTable>,
    open?: ReadonlyArray<string>,
    isLook = true
  ) {
    const tunnelled = yield* tunnels.bring(tables)
    const repair = reconcile(tables, yield* Effect.interruptible(readKernel), nodeId, tunnelled.tunnels)
    const problems = [...tunnelled.problems, ...repair.problems]
    for (const [command, lines] of [
      ["ip", repair.ip],
      ["bridge", repair.bridge],
      ["ip", repair.ports]
    ] as const) {
      yield* batch(command, lines).pipe(
        Effect.catch(({ message }) => Effect.sync(() => void problems.push(`overlays: ${message}`)))
      )
    }
    const ruled = yield* rules.bring(tables, open, tunnels.ports, isLook)
    return {
      bridgeless: repair.bridgeless,
      changed: tunnelled.changed + repair.ip.length + repair.bridge.length + ruled.changed,
      isWaiting: ruled.isWaiting,
      tunnels: Object.fromEntries(tunnelled.tunnels),
      problems: [...problems, ...ruled.problems]
    } as LayReport
  })
  return (...args: Parameters<typeof lay>) => Effect.uninterruptible(lay(...args))
}

const gaveWay: LayReport = { ...nothingLaid, gaveWay: true }

/** Overlays end at their bridges, which is said where another node takes part in one. */
const helpless = (why: string): KernelService => ({
  lay: (tables) =>
    Effect.succeed({
      ...nothingLaid,
      problems: tables
        .filter(isStretched)
        .map(({ name }) => `network ${name} does not reach other nodes from here: ${why}`)
    }),
  withdraw: () => Effect.void,
  giveWay: Effect.void,
  settle: () => Effect.succeed([]),
  count: () => Effect.succeed(undefined),
  makeKey: () => Effect.succeed({ Keys: [], Refusal: why })
})

export interface KernelOptions extends Facts {
  readonly dockerHost: string
  readonly dataDir: string
}

export const LiveKernel = {
  /** Keys of encrypted overlays lie in `<dataDir>/wireguard/`. */
  layer: ({ dockerHost, dataDir, ...facts }: KernelOptions) => {
    const why = hindrance(dockerHost)
    if (why !== undefined) return Layer.succeed(Kernel, helpless(why))
    const tunnels = new Tunnels(facts.nodeId, `${dataDir}/wireguard`)
    const rules = new NodeRules(facts)
    const lay = layOn(facts, tunnels, rules)
    let end = (): void => {}
    const ended = Effect.callback<LayReport>((resume) => {
      end = () => resume(Effect.succeed(gaveWay))
    })
    return Layer.succeed(Kernel, {
      makeKey: tunnels.makeKey,
      lay: (tables, open, isLook) => {
        const laid = lay(tables, open, isLook).pipe(
          Effect.catch(({ message }) =>
            Effect.succeed<LayReport>({ ...nothingLaid, problems: [`overlays: ${message}`] })
          )
        )
        return isLook === true ? Effect.raceFirst(laid, ended) : laid
      },
      withdraw: (tables, open) => Effect.uninterruptible(rules.withdraw(tables, open)),
      giveWay: Effect.sync(() => end()),
      settle: rules.settle,
      count: (hosted) => rules.count(hosted)
    })
  }
}
