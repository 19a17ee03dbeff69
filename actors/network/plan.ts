/** What a node is told of a network, and what it makes of it. */
import type { Network } from "#actors/model/objects.ts"

/** One overlay as a node builds it: until it is stretched over several nodes, a bridge of this Engine. */
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

/** The part of a network that a node needs to know; subnets that are not allotted yet are left out. */
export const planOf = (network: Network): NetworkPlan => ({
  id: network.ID,
  name: network.Name,
  subnets: (network.IPAM.Config ?? []).flatMap(({ Subnet, Gateway }) =>
    Subnet === undefined || Gateway === undefined ? [] : [{ subnet: Subnet, gateway: Gateway }]
  ),
  internal: network.Internal,
  attachable: network.Attachable,
  ipv6: network.EnableIPv6,
  labels: network.Labels,
  options: network.Options
})

/** One task that takes traffic for a service. `address` has no prefix length. */
export interface Backend {
  readonly taskId: string
  readonly nodeId: string
  readonly address: string
}

/** A published port of a service in ingress mode, and who answers it. */
export interface PublishedPort {
  readonly serviceId: string
  readonly serviceName: string
  readonly protocol: "tcp" | "udp"
  readonly publishedPort: number
  readonly targetPort: number
  readonly backends: ReadonlyArray<Backend>
}
