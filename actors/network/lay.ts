/** When the kernel is made as this node's overlays say: at once when they change, and looked at again and again. */
import type { LayReport } from "#actors/drivers/kernel.ts"
import type { NamesReport } from "#actors/drivers/names.ts"
import type { ResolvConf } from "#actors/network/names/resolv-conf.ts"
import type { NetworkAction, NetworkMessage } from "#actors/network/protocol.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { withdraw } from "#actors/network/withdraw.ts"
import type { AssignedFile } from "#actors/node/protocol.ts"
import { type CommonAction, later } from "#runtime/actions.ts"

/** What somebody changed by hand is as it was within this time and the few milliseconds of a look. */
const lookEveryMs = 2_000
/** A task that begins to run may take connections a moment later, or never. */
const firstWaitMs = 100

export interface Overlays {
  readonly tables: ReadonlyArray<OverlayTable>
  /** The tables of the round that began last. */
  readonly begun: ReadonlyArray<OverlayTable>
  /** Secrets with the certificates of services' hosts. */
  readonly certificates: ReadonlyArray<AssignedFile>
  /** The published ports that are this node's own, by key, once that is known. */
  readonly open: ReadonlyArray<string> | undefined
  /** The newest round that is wanted; what was known when it began is in the kernel once it is done. */
  readonly round: number
  readonly done: number
  readonly isLaying: boolean
  /** What is under way is a look, which was not asked yet to end early. */
  readonly givesWay: boolean
  /** The newest round that was nothing but another look. */
  readonly look: number
  /** Looks in a row, since something new was told, that left somebody waiting. */
  readonly waits: number
  readonly bridgeless: ReadonlySet<string>
  /** What such looks found to be different, and changed. */
  readonly repairs: number
  /** Devices by the ids of the nodes that encrypted overlays reach through them. */
  readonly tunnels: Readonly<Record<string, string>>
  readonly problems: ReadonlyArray<string>
  /** The machine's resolv.conf, where tasks may ask the node for names. */
  readonly host: ResolvConf | undefined
}

export const noOverlays: Overlays = {
  tables: [],
  begun: [],
  certificates: [],
  open: undefined,
  round: 0,
  done: 0,
  isLaying: false,
  givesWay: false,
  look: 0,
  waits: 0,
  bridgeless: new Set(),
  repairs: 0,
  tunnels: {},
  problems: [],
  host: undefined
}

interface Laying {
  readonly overlays: Overlays
  readonly actions: ReadonlyArray<NetworkAction | CommonAction>
}

/**
 * Another round; at once, or when the one under way is done: the world may have changed since it began. One that is nothing
 * but a look is not waited for: where hundreds of services are published it takes longer than a change does.
 */
export function lay(before: Overlays): Laying {
  const overlays = { ...before, round: before.round + 1, waits: 0, givesWay: false }
  if (!overlays.isLaying) return begin(overlays)
  return { overlays, actions: before.givesWay ? [{ _tag: "GiveWay" }] : [] }
}

/** The look that something new waited for is over; nothing is known by it. */
export const gaveWay = (before: Overlays): Laying => begin(before)

/** A round for no other reason than that time has passed. */
export function look(before: Overlays): Laying {
  const { isLaying, round } = before
  return isLaying
    ? { overlays: before, actions: [] }
    : begin({ ...before, round: round + 1, look: round + 1 })
}

/** A published port is the kernel's to carry once it is this node's own, and no longer than that. */
export function reopen(before: Overlays, open: ReadonlyArray<string>): Laying {
  const overlays = { ...before, open }
  const isSame = JSON.stringify(open) === JSON.stringify(before.open ?? [])
  return isSame || overlays.tables.length === 0 ? { overlays, actions: [] } : lay(overlays)
}

function begin(overlays: Overlays): Laying {
  const { round, tables, begun, certificates, open } = overlays
  const isLook = round === overlays.look
  const withdrawn = withdraw(begun, tables)
  return {
    overlays: { ...overlays, begun: tables, isLaying: true, givesWay: isLook },
    actions: [
      {
        _tag: "Lay",
        round,
        tables,
        ...(withdrawn && { withdrawn }),
        ...(certificates.length > 0 && { certificates }),
        ...(open && { open }),
        ...(isLook && { isLook })
      }
    ]
  }
}

export function laid(before: Overlays, round: number, report: LayReport, names: NamesReport): Laying {
  const problems = [...report.problems, ...names.problems]
  const isNews = JSON.stringify(problems) !== JSON.stringify(before.problems)
  const actions: Array<NetworkAction | CommonAction> =
    isNews && problems.length > 0 ? [{ _tag: "Warn", problems }] : []
  const overlays: Overlays = {
    ...before,
    isLaying: false,
    done: round,
    waits: report.isWaiting === true ? before.waits + 1 : 0,
    bridgeless: new Set(report.bridgeless),
    repairs: before.repairs + (round === before.look ? report.changed : 0),
    tunnels: report.tunnels ?? {},
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
    actions: [...actions, later("lay", nextLookMs(overlays), { _tag: "LookAgain" } satisfies NetworkMessage)]
  }
}

const nextLookMs = ({ waits }: Overlays): number =>
  waits === 0 ? lookEveryMs : Math.min(lookEveryMs, firstWaitMs * 2 ** (waits - 1))

/** Whether the network's bridge, which is there now, was so when the kernel was last looked at. */
export const isLaid = ({ tables, bridgeless, done }: Overlays, networkId: string): boolean =>
  !tables.some((table) => table.networkId === networkId) || (done > 0 && !bridgeless.has(networkId))
