/** What a node is told of a network, and what it makes of it. */
import { isEncrypted } from "#actors/model/network-keys.ts"
import type { Network, Node } from "#actors/model/objects.ts"
import { gatewayOn } from "#actors/network/allot-gateways.ts"
import { subnetsOf } from "#actors/network/tabulate.ts"

/** One overlay as a node's Engine has it: a bridge, whose gateway is the node's own address on the network. */
export interface NetworkPlan {
  readonly id: string
  readonly name: string
  readonly subnets: ReadonlyArray<{ readonly subnet: string; readonly gateway: string }>
  readonly internal: boolean
  readonly attachable: boolean
  readonly ipv6: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, string>>
}

/**
 * The part of a network that a node needs to know; subnets that are not allotted yet are left out. A node without an
 * address of its own there takes the network's.
 */
export const planOf = (network: Network, node?: Node): NetworkPlan => ({
  id: network.ID,
  name: network.Name,
  subnets: ownSubnets(network, node) ?? networkSubnets(network),
  internal: network.Internal,
  attachable: network.Attachable,
  ipv6: network.EnableIPv6,
  labels: network.Labels,
  options: network.Options
})

export const mtuOption = "com.docker.network.driver.mtu"
/** An Ethernet packet of 1500 bytes less what VXLAN puts around another: IPv4 20, UDP 8, VXLAN 8, Ethernet 14. */
const usualMtu = 1450

/** What WireGuard puts around a packet: IPv6 40, UDP 8, its own 32. Over IPv4 20 of it are to spare. */
const wireGuardBytes = 80

/** How large a packet on the overlay may be. */
export function mtuOf(options: Readonly<Record<string, string>>): number {
  const asked = Number(options[mtuOption])
  if (Number.isInteger(asked) && asked > 0) return asked
  return isEncrypted(options) ? usualMtu - wireGuardBytes : usualMtu
}

const ownSubnets = (network: Network, node: Node | undefined): NetworkPlan["subnets"] | undefined => {
  const own = gatewayOn(node, network.ID)
  return own && subnetsOf(network, own.Addresses)
}

const networkSubnets = (network: Network): NetworkPlan["subnets"] =>
  (network.IPAM.Config ?? []).flatMap(({ Subnet, Gateway }) =>
    Subnet === undefined || Gateway === undefined ? [] : [{ subnet: Subnet, gateway: Gateway }]
  )

/** One task that takes traffic for a service. `address` has no prefix length. */
export interface Backend {
  readonly taskId: string
  readonly nodeId: string
  readonly address: string
}

/** `tcp/8080`: a published port as it is told from others. */
export const keyOfPort = ({
  protocol,
  publishedPort
}: {
  readonly protocol: string
  readonly publishedPort: number
}): string => `${protocol}/${publishedPort}`

/** A published port of a service in ingress mode, and who answers it. */
export interface PublishedPort {
  readonly serviceId: string
  readonly serviceName: string
  readonly protocol: "tcp" | "udp"
  readonly publishedPort: number
  readonly targetPort: number
  /** Subnets: it is open at those of the node's addresses alone; at all of them where absent. */
  readonly only?: ReadonlyArray<string>
  readonly backends: ReadonlyArray<Backend>
}
