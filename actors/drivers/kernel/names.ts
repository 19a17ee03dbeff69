/** What our devices are called and how they are known: names have at most 15 characters, so whose they are is said beside. */
export const bridgeName = (networkId: string): string => `br-t${networkId.slice(0, 10)}`
export const vxlanName = (networkId: string): string => `vx-t${networkId.slice(0, 10)}`

/** The alias of a device that this node has made or taken: other nodes on this machine leave it alone. */
export const aliasOf = (nodeId: string): string => `troupe ${nodeId}`
