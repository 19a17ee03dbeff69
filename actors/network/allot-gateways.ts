/**
 * The addresses that nodes themselves have on overlays: on each that a live task of theirs is on, and on the ingress
 * network, once anything is published, all of them.
 */

import type { Command } from "#actors/ledger/commands.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import type { Gateway, Network, Node, Task } from "#actors/model/objects.ts"
import { usesIngress } from "#actors/model/service-facts.ts"
import { toIso } from "#actors/model/time.ts"
import type { AddressBook } from "#actors/network/address-book.ts"
import { reach } from "#actors/network/reach.ts"

type Placements = Extract<Command, { type: "node.gateways" }>["nodes"]

/** Only an Engine has bridges. */
const hasBridges = (node: Node): boolean => node.Description?.Executor !== "process"

export const gatewayOn = (node: Node | undefined, networkId: string): Gateway | undefined =>
  node?.Gateways?.find(({ NetworkID }) => NetworkID === networkId)

/** Nodes have addresses of their own in this cluster, or are about to. */
const givesGateways = (ledger: LedgerReader): boolean =>
  (ledger.cluster()?.FeatureLevel ?? 0) >= levelOf["node.gateways"]

/** The node still lacks an address on one of the task's networks. */
export function waitsForGateway(ledger: LedgerReader, node: Node, task: Task): boolean {
  if (task.Attachments === undefined || !givesGateways(ledger) || !hasBridges(node)) return false
  return task.Attachments.some(
    ({ NetworkID }) =>
      gatewayOn(node, NetworkID) === undefined && ledger.get("network", NetworkID) !== undefined
  )
}

/** What each node shall have from now on, for those that have something else; and networks that are full, by node. */
export function allotGateways(
  ledger: LedgerReader,
  addresses: AddressBook
): { readonly nodes: Placements; readonly full: ReadonlyMap<string, Network> } {
  const full = new Map<string, Network>()
  if (!givesGateways(ledger)) return { nodes: [], full }
  const use = ledger.view(reach)
  const networks = [...ledger.all("network")].filter(({ Vni }) => Vni !== undefined)
  const [ingress] = networks.filter((network) => network.Ingress && isPublished(ledger))
  const nodes: Array<Placements[number]> = []
  for (const node of ledger.all("node")) {
    const before = node.Gateways ?? []
    const after: Array<Gateway> = []
    let isNew = false
    for (const network of hasBridges(node) ? networks : []) {
      if (network !== ingress && !use.of(network.ID).has(node.ID)) continue
      const kept = before.find(({ NetworkID }) => NetworkID === network.ID)
      const found = kept?.Addresses ?? addresses.takeLast(network)?.map(withoutPrefix)
      isNew ||= kept === undefined && found !== undefined
      if (found === undefined) full.set(node.ID, network)
      else after.push({ NetworkID: network.ID, Addresses: found })
    }
    if (isNew || after.length < before.length) nodes.push({ id: node.ID, gateways: after })
  }
  return { nodes, full }
}

/** The tasks that wait for an address that their node cannot have, with the reason. */
export function explainFull(ledger: LedgerReader, full: ReadonlyMap<string, Network>) {
  const update = []
  for (const [nodeId, network] of full) {
    const Err = `no address left in network ${network.Name} for node ${nodeId}`
    for (const task of ledger.tasksOfNode(nodeId)) {
      if (task.Status.State !== "assigned" || task.Status.Err === Err) continue
      if (task.Attachments?.some(({ NetworkID }) => NetworkID === network.ID) !== true) continue
      const Status = { ...task.Status, Timestamp: toIso(ledger.time), Err }
      update.push({ id: task.ID, version: task.Version.Index, Status })
    }
  }
  return update
}

const isPublished = (ledger: LedgerReader): boolean => {
  for (const { Spec } of ledger.all("service")) if (usesIngress(Spec)) return true
  return false
}
