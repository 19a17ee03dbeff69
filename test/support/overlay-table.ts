/** An overlay as a node knows it, for tests that care about a part of it. */
import type { OverlayTable } from "#actors/network/table.ts"

export const overlayTable = (part: Partial<OverlayTable> = {}): OverlayTable => ({
  networkId: "net1",
  name: "front",
  vni: 4097,
  port: 4789,
  dataPath: "192.168.0.1",
  mtu: 1450,
  subnets: [{ subnet: "10.0.1.0/24", gateway: "10.0.1.3" }],
  internal: false,
  attachable: false,
  encrypted: false,
  ingress: false,
  peers: [],
  services: [],
  ...part
})
