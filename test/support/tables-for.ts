/** What a node should know of its overlays, worked out of the whole ledger at once: what the differences must come to. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { OverlayTable, Peer, ServiceRow, TaskRow } from "#actors/network/table.ts"
import { attachedRows, headOf, peerOf, rowHead, taskRows, vipNetworks } from "#actors/network/tabulate.ts"

const byId = <T>(idOf: (row: T) => string, rows: Iterable<T>): ReadonlyArray<T> =>
  [...rows].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))

/** All that a node knows of its overlays. */
export function tablesFor(ledger: LedgerReader, nodeId: string): ReadonlyArray<OverlayTable> {
  const node = ledger.get("node", nodeId)
  const tables: Array<OverlayTable> = []
  for (const { NetworkID } of node?.Gateways ?? []) {
    const head = node && headOf(ledger, node, NetworkID)
    if (head === undefined) continue
    const peers: Array<Peer> = []
    const services: Array<ServiceRow> = []
    for (const other of ledger.all("node")) {
      for (const [networkId, row] of attachedRows(other)) if (networkId === NetworkID) services.push(row)
      const peer = other.ID === nodeId ? undefined : peerOf(ledger, other, NetworkID)
      if (peer !== undefined) peers.push(peer)
    }
    for (const serviceId of servicesOn(ledger, NetworkID)) {
      const row = rowsOf(ledger, serviceId).get(NetworkID)
      if (row !== undefined) services.push(row)
    }
    tables.push({
      ...head,
      peers: byId((peer) => peer.nodeId, peers),
      services: byId((row) => row.serviceId, services)
    })
  }
  return byId((table) => table.networkId, tables)
}

/** Services that may have a row on the network: those that name it, and those of tasks that are on it. */
function servicesOn(ledger: LedgerReader, networkId: string): ReadonlySet<string> {
  const found = new Set<string>()
  for (const service of ledger.all("service")) {
    if (service.Endpoint?.VirtualIPs?.some(({ NetworkID }) => NetworkID === networkId)) found.add(service.ID)
  }
  for (const { ServiceID } of ledger.tasksOnNetwork(networkId)) found.add(ServiceID)
  return found
}

/** The service's row on every network that it or one of its tasks is on. */
function rowsOf(ledger: LedgerReader, serviceId: string): ReadonlyMap<string, ServiceRow> {
  const tasks = new Map<string, Array<TaskRow>>()
  for (const networkId of vipNetworks(ledger.get("service", serviceId))) tasks.set(networkId, [])
  for (const task of ledger.tasksOfService(serviceId)) {
    for (const [networkId, row] of taskRows(ledger, task)) {
      const rows = tasks.get(networkId) ?? []
      rows.push(row)
      tasks.set(networkId, rows)
    }
  }
  return new Map(
    [...tasks].map(([networkId, own]) => [
      networkId,
      { ...rowHead(ledger, serviceId, networkId), tasks: byId(({ taskId }) => taskId, own) }
    ])
  )
}
