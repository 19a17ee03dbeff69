/** Overlays as nodes are told of them, worked out of the ledger; made by network and service, so that each is one row. */

import { wakes } from "#actors/autoscaler/policy.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import { isEncrypted } from "#actors/model/network-keys.ts"
import type { Network, Node, Service, Task } from "#actors/model/objects.ts"
import { isIngress, modeOf, nameOfTask, protocolOf, replicasOf } from "#actors/model/service-facts.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { isWanted } from "#actors/model/task-state.ts"
import { gatewayOn } from "#actors/network/allot-gateways.ts"
import { routeShown } from "#actors/network/certificates.ts"
import { holds, parseAddress, parseSubnet } from "#actors/network/ip.ts"
import { mtuOf } from "#actors/network/plan.ts"
import { publishedAt } from "#actors/network/publish-at.ts"
import { isPlaced } from "#actors/network/reach.ts"
import type { OverlayHead, Peer, ServedPort, ServiceRow, TaskRow } from "#actors/network/table.ts"

/** Observed to run, and wanted to. */
export const takesTraffic = (task: Task): boolean => task.Status.State === "running" && isWanted(task)

/** Where other nodes send what is for this one. */
export const dataPathOf = (node: Node): string => node.Description?.DataPath ?? node.Status.Addr ?? ""

/** The overlay as `node` sees it; `undefined` where it takes no part in it. */
export function headOf(ledger: LedgerReader, node: Node, networkId: string): OverlayHead | undefined {
  const network = ledger.get("network", networkId)
  const own = gatewayOn(node, networkId)
  if (network?.Vni === undefined || own === undefined) return undefined
  return {
    networkId,
    name: network.Name,
    vni: network.Vni,
    port: ledger.cluster()?.DataPathPort ?? 0,
    dataPath: dataPathOf(node),
    mtu: mtuOf(network.Options),
    subnets: subnetsOf(network, own.Addresses),
    internal: network.Internal,
    attachable: network.Attachable,
    encrypted: isEncrypted(network.Options),
    ingress: network.Ingress
  }
}

/** The network's subnets, each with the address that a node itself has there. */
export function subnetsOf(
  network: Network,
  own: ReadonlyArray<string>
): ReadonlyArray<{ readonly subnet: string; readonly gateway: string }> {
  return (network.IPAM.Config ?? []).flatMap(({ Subnet }) => {
    const subnet = parseSubnet(Subnet ?? "")
    if (Subnet === undefined || subnet === undefined) return []
    const gateway = own.find((text) => {
      const address = parseAddress(text)
      return address !== undefined && holds(subnet, address)
    })
    return gateway === undefined ? [] : [{ subnet: Subnet, gateway }]
  })
}

/** The node as others on the network reach it; `undefined` where it takes no part. */
export function peerOf(ledger: LedgerReader, node: Node, networkId: string): Peer | undefined {
  const own = gatewayOn(node, networkId)
  if (own === undefined || dataPathOf(node) === "") return undefined
  const keys = node.Description?.WireGuard?.Keys ?? []
  const isKeyed = keys.length > 0 && isEncrypted(ledger.get("network", networkId)?.Options ?? {})
  return {
    nodeId: node.ID,
    dataPath: dataPathOf(node),
    gateways: own.Addresses,
    ...(isKeyed && { keys })
  }
}

/** A service on one network, but for its tasks. */
export type RowHead = Omit<ServiceRow, "tasks">

/** The networks on which the service has a virtual address. */
export const vipNetworks = (service: Service | undefined): ReadonlyArray<string> =>
  (service?.Endpoint?.VirtualIPs ?? []).flatMap(({ NetworkID, Addr }) => (Addr === "" ? [] : [NetworkID]))

export function rowHead(ledger: LedgerReader, serviceId: string, networkId: string): RowHead {
  const service = ledger.get("service", serviceId)
  const entering = ledger.get("network", networkId)?.Ingress === true ? service?.Spec : undefined
  const http = entering && routeShown(ledger, entering)
  const awaits = entering && awaitsOf(entering)
  return {
    serviceId,
    name: service?.Spec.Name ?? serviceId,
    aliases: service === undefined ? [] : aliasesOf(service, networkId),
    vips: (service?.Endpoint?.VirtualIPs ?? [])
      .filter((vip) => vip.NetworkID === networkId && vip.Addr !== "")
      .map(({ Addr }) => withoutPrefix(Addr)),
    ports: service === undefined ? [] : portsOf(service),
    ...(http && { http }),
    ...(awaits && { awaits })
  }
}

/** Tasks that are wanted will come; where none is, a caller may begin the first. */
function awaitsOf(spec: ServiceSpec): RowHead["awaits"] {
  if (modeOf(spec) === "global" || replicasOf(spec) > 0) return "task"
  return wakes(spec) ? "caller" : undefined
}

/** The task's place on each of its networks, by network; none before it has a node, nor once it has ended. */
export function taskRows(ledger: LedgerReader, task: Task): ReadonlyArray<readonly [string, TaskRow]> {
  if (!isPlaced(task)) return []
  const name = ledger.get("service", task.ServiceID)?.Spec.Name ?? task.ServiceID
  return (task.Attachments ?? [])
    .filter(({ Addresses }) => Addresses.length > 0)
    .map(({ NetworkID, Addresses }) => [NetworkID, taskRow(ledger, name, task, Addresses)])
}

/** A container that people attached is a service of one, by network. */
export function attachedRows({
  ID: nodeId,
  Attached = []
}: Node): ReadonlyArray<readonly [string, ServiceRow]> {
  return Attached.map(({ ID, NetworkID, Name, Aliases = [], Addresses }) => [
    NetworkID,
    {
      serviceId: ID,
      name: Name,
      aliases: Aliases,
      vips: [],
      ports: [],
      tasks: [{ taskId: ID, nodeId, name: Name, addresses: Addresses, serving: true }]
    }
  ])
}

function taskRow(
  ledger: LedgerReader,
  serviceName: string,
  task: Task,
  addresses: ReadonlyArray<string>
): TaskRow {
  const spec = ledger.taskSpec(task.ServiceID, task.SpecVersion)?.ContainerSpec
  const hostname = spec?.Hostname
  const resolvers = spec?.DNSConfig?.Nameservers ?? []
  return {
    taskId: task.ID,
    nodeId: task.NodeID ?? "",
    name: nameOfTask(serviceName, task),
    // What stands in braces is filled in on the node alone.
    ...(hostname === undefined || hostname === "" || hostname.includes("{{") ? {} : { hostname }),
    addresses: addresses.map(withoutPrefix),
    serving: takesTraffic(task),
    ...(resolvers.length > 0 && { resolvers })
  }
}

function aliasesOf({ Spec }: Service, networkId: string): ReadonlyArray<string> {
  const attachments = Spec.TaskTemplate?.Networks ?? Spec.Networks ?? []
  return attachments.find(({ Target }) => Target === networkId)?.Aliases ?? []
}

function portsOf({ Endpoint, Spec }: Service): ReadonlyArray<ServedPort> {
  const ports: Array<ServedPort> = []
  // At some addresses alone it is the data plane's: the kernel's rules would lead there from all.
  const isEverywhere = publishedAt(Spec.Labels) === undefined
  for (const port of Endpoint?.Ports ?? []) {
    const protocol = protocolOf(port)
    const { Name: name = "", TargetPort: targetPort = 0, PublishedPort: publishedPort = 0 } = port
    if (protocol === "sctp" || targetPort === 0) continue
    ports.push({
      ...(name !== "" && { name }),
      protocol,
      targetPort,
      ...(isEverywhere && isIngress(port) && publishedPort !== 0 ? { publishedPort } : {})
    })
  }
  return ports
}
