/** What this node's network actor knows of its overlays, and how it found the kernel. Asks no leader. */
import type { NetworkMessage, NetworkView } from "#actors/network/protocol.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

const show: NetworkMessage = { _tag: "Show" }

export const askNetworkView = (system: Pick<SystemService, "ask">, nodeId: string, withinMs: number) =>
  system.ask<NetworkView>(address(nodeId, "network", "main"), show, withinMs)
