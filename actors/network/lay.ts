/** When the kernel is made as this node's overlays say: at once when they change, and looked at again and again. */
import type { LayReport } from "#actors/drivers/kernel.ts"
import type { NamesReport } from "#actors/drivers/names.ts"
import type { ResolvConf } from "#actors/network/names/resolv-conf.ts"
import type { NetworkAction, NetworkMessage } from "#actors/network/protocol.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { type CommonAction, later } from "#runtime/actions.ts"

/** What somebody changed by hand is as it was within this time and the few milliseconds of a look. */
const lookEveryMs = 2_000

export interface Overlays {
  readonly tables: ReadonlyArray<OverlayTable>
  /** The newest round that is wanted; what was known when it began is in the kernel once it is done. */
  readonly round: number
  readonly done: number
  readonly isLaying: boolean
  /** The newest round that was nothing but another look. */
  readonly look: number
  readonly bridgeless: ReadonlySet<string>
  /** What such looks found to be different, and changed. */
  readonly repairs: number
  readonly problems: ReadonlyArray<string>
  /** The machine's resolv.conf, where tasks may ask the node for names. */
  readonly host: ResolvConf | undefined
}

export const noOverlays: Overlays = {
  tables: [],
  round: 0,
  done: 0,
  isLaying: false,
  look: 0,
  bridgeless: new Set(),
  repairs: 0,
  problems: [],
  host: undefined
}

interface Laying {
  readonly overlays: Overlays
  readonly actions: ReadonlyArray<NetworkAction | CommonAction>
}

/** Another round; at once, or when the one under way is done: the world may have changed since it began. */
export function lay(before: Overlays): Laying {
  const overlays = { ...before, round: before.round + 1 }
  return overlays.isLaying ? { overlays, actions: [] } : begin(overlays)
}

/** A round for no other reason than that time has passed. */
export function look(before: Overlays): Laying {
  return before.isLaying ? { overlays: before, actions: [] } : lay({ ...before, look: before.round + 1 })
}

const begin = (overlays: Overlays): Laying => ({
  overlays: { ...overlays, isLaying: true },
  actions: [{ _tag: "Lay", round: overlays.round, tables: overlays.tables }]
})

export function laid(before: Overlays, round: number, report: LayReport, names: NamesReport): Laying {
  const problems = [...report.problems, ...names.problems]
  const isNews = JSON.stringify(problems) !== JSON.stringify(before.problems)
  const actions: Array<NetworkAction | CommonAction> =
    isNews && problems.length > 0 ? [{ _tag: "Warn", problems }] : []
  const overlays: Overlays = {
    ...before,
    isLaying: false,
    done: round,
    bridgeless: new Set(report.bridgeless),
    repairs: before.repairs + (round === before.look ? report.changed : 0),
    problems,
    host: names.host
  }
  if (round < overlays.round) {
    const next = begin(overlays)
    return { overlays: next.overlays, actions: [...actions, ...next.actions] }
  }
  if (overlays.tables.length === 0) return { overlays, actions }
  return {
    overlays,
    actions: [...actions, later("lay", lookEveryMs, { _tag: "LookAgain" } satisfies NetworkMessage)]
  }
}

/** Whether the network's bridge, which is there now, was so when the kernel was last looked at. */
export const isLaid = ({ tables, bridgeless, done }: Overlays, networkId: string): boolean =>
  !tables.some((table) => table.networkId === networkId) || (done > 0 && !bridgeless.has(networkId))
