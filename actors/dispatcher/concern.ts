/** Which changes of the ledger may change what nodes are told of overlays. */
import type { Node, Service, Task } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { isPlaced } from "#actors/network/reach.ts"
import { dataPathOf, takesTraffic } from "#actors/network/tabulate.ts"

export function concernsRow(before: Task | undefined, after: Task | undefined): boolean {
  if (before?.Attachments === undefined && after?.Attachments === undefined) return false
  if (before === undefined || after === undefined) return isPlaced((before ?? after) as Task)
  return (
    before.NodeID !== after.NodeID ||
    !equal(before.Attachments, after.Attachments) ||
    isPlaced(before) !== isPlaced(after) ||
    takesTraffic(before) !== takesTraffic(after)
  )
}

export const concernsRows = (before: Service | undefined, after: Service | undefined): boolean =>
  before?.Endpoint !== after?.Endpoint || before?.Spec !== after?.Spec

export const concernsPeers = (before: Node | undefined, after: Node | undefined): boolean =>
  !equal(before?.Gateways, after?.Gateways) ||
  !equal(before?.Attached, after?.Attached) ||
  (after?.Gateways !== undefined &&
    before !== undefined &&
    (dataPathOf(before) !== dataPathOf(after) ||
      !equal(before.Description?.WireGuard, after.Description?.WireGuard)))
