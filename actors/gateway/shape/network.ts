/** Our networks as the Engine shows them: as resources of their own, and as attachments of tasks. */

import { predefinedLabel } from "#actors/drivers/labels.ts"
import { ipam as ipamLayout } from "#actors/gateway/shape/layouts.ts"
import { render } from "#actors/gateway/shape/render.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import type { Network, Task } from "#actors/model/objects.ts"
import { nameOfTask } from "#actors/model/service-facts.ts"
import { gatewayOn } from "#actors/network/allot-gateways.ts"
import { dataPathOf } from "#actors/network/tabulate.ts"

/** What the Engine calls the VXLAN ids of an overlay, one per subnet. */
const vniOption = "com.docker.network.driver.overlay.vxlanid_list"

const optionsOf = (network: Network): Record<string, string> => ({
  ...network.Options,
  ...(network.Vni === undefined ? {} : { [vniOption]: String(network.Vni) })
})

/** A container on a network, as the Engine of this node knows it. */
export interface EndpointInfo {
  readonly Name: string
  readonly EndpointID: string
  readonly MacAddress: string
  readonly IPv4Address: string
  readonly IPv6Address: string
}

/** The network as `docker network inspect` has it; `containers` are those of this node. */
export function networkResource(
  network: Network,
  containers: Readonly<Record<string, EndpointInfo>> | null = null
): Record<string, unknown> {
  return {
    Name: network.Name,
    Id: network.ID,
    Created: network.CreatedAt,
    Scope: "swarm",
    Driver: network.Driver,
    EnableIPv4: true,
    EnableIPv6: network.EnableIPv6,
    IPAM: render(ipamLayout, network.IPAM, "out"),
    Internal: network.Internal,
    Attachable: network.Attachable,
    Ingress: network.Ingress,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: containers,
    Options: optionsOf(network),
    Labels: network.Labels
  }
}

/**
 * The Engine's own `host` or `bridge` as one of the swarm's, which clients ask for before they attach a service to it.
 * Its name is its id: each node takes its own.
 */
export const predefinedResource = (name: "host" | "bridge", created: string): Record<string, unknown> =>
  networkResource({
    ID: name,
    Version: { Index: 0 },
    CreatedAt: created,
    UpdatedAt: created,
    Name: name,
    Driver: name,
    Scope: "swarm",
    Internal: false,
    Attachable: false,
    Ingress: false,
    EnableIPv6: false,
    IPAM: {},
    Options: {},
    Labels: { [predefinedLabel]: "true" }
  })

interface PeerInfo {
  readonly Name: string
  readonly IP: string
}

/** The nodes that take part in the network, and where its packets reach them; absent when there are none. */
export function networkPeers(
  reader: LedgerReader,
  network: Network
): { readonly Peers?: ReadonlyArray<PeerInfo> } {
  const nodes = [...reader.all("node")].filter((node) => gatewayOn(node, network.ID) !== undefined)
  if (nodes.length === 0) return {}
  const Peers = nodes
    .sort((a, b) => (a.ID < b.ID ? -1 : 1))
    .map((node) => ({
      Name: node.ID.slice(0, 12),
      IP: dataPathOf(node)
    }))
  return { Peers }
}

/** The services on the network with their tasks: `?verbose=true`. */
export function networkUse(
  reader: LedgerReader,
  network: Network
): { readonly Services?: Readonly<Record<string, unknown>> } {
  const services: Record<string, unknown> = {}
  for (const service of reader.servicesUsing("network", network.ID)) {
    const tasks: Array<Record<string, unknown>> = []
    for (const task of reader.tasksOfService(service.ID)) {
      if (task.Status.State !== "running") continue
      const node = task.NodeID === undefined ? undefined : reader.get("node", task.NodeID)
      tasks.push({
        Name: nameOfTask(service.Spec.Name ?? service.ID, task),
        EndpointID: "",
        EndpointIP: addressOn(task, network.ID),
        Info: { "Host IP": node === undefined ? "" : dataPathOf(node) }
      })
    }
    const vip = service.Endpoint?.VirtualIPs?.find((candidate) => candidate.NetworkID === network.ID)
    services[service.Spec.Name ?? service.ID] = {
      VIP: withoutPrefix(vip?.Addr ?? ""),
      Ports: (service.Endpoint?.Ports ?? []).map(
        (port) => `Target: ${port.TargetPort ?? 0}, Publish: ${port.PublishedPort ?? 0}`
      ),
      LocalLBIndex: network.Vni ?? 0,
      Tasks: tasks
    }
  }
  return Object.keys(services).length === 0 ? {} : { Services: services }
}

const addressOn = (task: Task, networkId: string): string =>
  withoutPrefix(task.Attachments?.find(({ NetworkID }) => NetworkID === networkId)?.Addresses[0] ?? "")

/** True when a service names the network, or every service that publishes a port relies on it. */
export const isUsed = (reader: LedgerReader, network: Network): boolean =>
  network.Ingress || reader.servicesUsing("network", network.ID).length > 0

const attachmentTexts = new WeakMap<Network, string>()

/** The network inside a task's `NetworksAttachments`, in SwarmKit's other shape for the same facts. */
export function attachedNetworkText(network: Network): string {
  const known = attachmentTexts.get(network)
  if (known !== undefined) return known
  const text = JSON.stringify(attachedNetwork(network))
  attachmentTexts.set(network, text)
  return text
}

/** What was said of addresses when the network was made; of the ingress network nobody said anything. */
function ipamAsAsked({ Ingress: ingress, IPAM: ipam }: Network): Record<string, unknown> {
  if (ingress) return { IPAMOptions: { Driver: {} } }
  return ipam.Driver === undefined ? {} : { IPAMOptions: { Driver: { Name: ipam.Driver } } }
}

function attachedNetwork(network: Network): Record<string, unknown> {
  const options = optionsOf(network)
  const configs = (network.IPAM.Config ?? []).map(({ Subnet, IPRange, Gateway }) => ({
    ...(Subnet === undefined ? {} : { Subnet }),
    ...(IPRange === undefined ? {} : { Range: IPRange }),
    ...(Gateway === undefined ? {} : { Gateway })
  }))
  return {
    ID: network.ID,
    Version: network.Version,
    CreatedAt: network.CreatedAt,
    UpdatedAt: network.UpdatedAt,
    Spec: {
      Name: network.Name,
      Labels: network.Labels,
      DriverConfiguration: network.Ingress ? {} : { Name: network.Driver },
      ...(network.EnableIPv6 ? { IPv6Enabled: true } : {}),
      ...(network.Internal ? { Internal: true } : {}),
      ...(network.Attachable ? { Attachable: true } : {}),
      ...(network.Ingress ? { Ingress: true } : {}),
      ...ipamAsAsked(network),
      Scope: "swarm"
    },
    DriverState: { Name: network.Driver, ...(Object.keys(options).length === 0 ? {} : { Options: options }) },
    IPAMOptions: {
      Driver: { Name: network.IPAM.Driver ?? "default" },
      ...(configs.length === 0 ? {} : { Configs: configs })
    }
  }
}
