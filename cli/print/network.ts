/** What `troupe doctor network` says of a node's overlays, and of what differs from them in its kernel. */
import type { Repair } from "#actors/drivers/kernel/reconcile.ts"
import type { NetworkView } from "#actors/network/protocol.ts"
import { table as columns } from "#cli/print/table.ts"

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** Without a `repair` the kernel was not read. */
export function showNetwork(view: NetworkView, repair: Repair | undefined): string {
  const { tables, rounds, repairs, problems } = view
  const overlays = tables.map((table) => [
    table.name,
    String(table.vni),
    table.subnets.map(({ gateway }) => gateway).join(" "),
    String(table.peers.length),
    String(table.services.reduce((sum, { tasks }) => sum + tasks.length, 0))
  ])
  const differences = repair === undefined ? [] : [...repair.ip, ...repair.bridge]
  return [
    overlays.length === 0
      ? "this node takes part in no overlay"
      : columns(["NETWORK", "VNI", "OWN ADDRESS", "OTHER NODES", "TASKS"], overlays),
    `${counted(rounds, "look")} at the kernel, ${counted(repairs, "repair")}`,
    ...problems,
    ...(repair?.bridgeless ?? []).map((id) => `network ${id} has no bridge here yet`),
    ...(repair === undefined
      ? ["the kernel is read as root only"]
      : differences.length === 0
        ? ["the kernel is as it should be"]
        : [
            `${counted(differences.length, "difference")}, to be mended by:`,
            ...differences.map((line) => `  ${line}`)
          ])
  ].join("\n")
}
