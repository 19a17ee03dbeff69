/** Who has which address on a network: tasks that have not ended, services, nodes, and containers beside them. */

import type { LedgerReader } from "#actors/ledger/reader.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import { isTerminal } from "#actors/model/task-state.ts"

/** All addresses in use, without prefix length; those of the container attached as `but` are left out. */
export function addressesOn(ledger: LedgerReader, networkId: string, but = ""): ReadonlySet<string> {
  const taken = new Set<string>()
  const take = (addresses: Iterable<string>): void => {
    for (const address of addresses) taken.add(withoutPrefix(address))
  }
  for (const { Gateway = "", AuxiliaryAddresses } of ledger.get("network", networkId)?.IPAM.Config ?? []) {
    take([Gateway, ...Object.values(AuxiliaryAddresses ?? {})])
  }
  for (const service of ledger.all("service")) {
    for (const vip of service.Endpoint?.VirtualIPs ?? []) if (vip.NetworkID === networkId) take([vip.Addr])
  }
  for (const task of ledger.tasksOnNetwork(networkId)) {
    if (isTerminal(task.Status.State)) continue
    for (const { NetworkID, Addresses } of task.Attachments ?? [])
      if (NetworkID === networkId) take(Addresses)
  }
  for (const { Gateways = [], Attached = [] } of ledger.all("node")) {
    for (const { NetworkID, Addresses } of Gateways) if (NetworkID === networkId) take(Addresses)
    for (const { ID, NetworkID, Addresses } of Attached) {
      if (NetworkID === networkId && ID !== but) take(Addresses)
    }
  }
  taken.delete("")
  return taken
}
