/** What our devices are called and how they are known: names have at most 15 characters, so whose they are is said beside. */
export const bridgeName = (networkId: string): string => `br-t${networkId.slice(0, 10)}`
export const vxlanName = (networkId: string): string => `vx-t${networkId.slice(0, 10)}`

/**
 * WireGuard's devices, of which a node has two while keys change: one for every other epoch. The kernel's names have 15
 * characters, and this is all of them.
 */
export const tunnelName = (nodeId: string, epoch: number): string => `wg${epoch % 2}-t${nodeId.slice(0, 10)}`

/** The nftables tables of this node alone: there may be others on the machine. */
const tableOf = (prefix: string, nodeId: string): string => `${prefix}_${nodeId.slice(0, 10)}`
export const firewallTable = (nodeId: string): string => tableOf("troupe", nodeId)
export const vipTable = (nodeId: string): string => tableOf("troupe_vip", nodeId)
export const ingressTable = (nodeId: string): string => tableOf("troupe_ingress", nodeId)
export const countTable = (nodeId: string): string => tableOf("troupe_count", nodeId)
export const namesTable = (nodeId: string): string => tableOf("troupe_names", nodeId)
/** All of them. */
export const tablesOfNode = (nodeId: string): ReadonlyArray<string> =>
  [firewallTable, vipTable, ingressTable, countTable, namesTable].map((table) => table(nodeId))

/** The alias of a device that this node has made or taken: other nodes on this machine leave it alone. */
export const aliasOf = (nodeId: string): string => `troupe ${nodeId}`
