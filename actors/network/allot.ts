/**
 * What the allocator gives: subnets and VXLAN ids to networks, published ports and virtual addresses to
 * services, addresses to tasks, which then wait for a node, and to nodes, which then carry the task.
 *
 * Everything is worked out from the ledger, so a new leader goes on where the last one stopped and nothing is
 * given twice. Addresses are given in turn: one that became free is used again as late as possible.
 */
import type { Command, TaskPatch } from "#actors/ledger/commands.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Attachment, Endpoint, Network, Service, Task } from "#actors/model/objects.ts"
import { equal, isIngress, networksOf, protocolOf, usesIngress } from "#actors/model/service-facts.ts"
import type { NetworkAttachmentConfig, PortConfig, TaskSpec } from "#actors/model/spec.ts"
import { isWanted } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import { AddressBook } from "#actors/network/address-book.ts"
import { allotGateways, explainFull } from "#actors/network/allot-gateways.ts"
import { overlap, parseSubnet, type Subnet, showAddress, showSubnet } from "#actors/network/ip.ts"

/** Swarm's range for ports that the cluster chooses. */
const firstChosenPort = 30_000
const lastChosenPort = 32_767
/** Swarm's first overlay has VXLAN id 4096, which the ingress network takes. */
const firstVni = 4096
const lastVni = 2 ** 24 - 1

/** The commands that give everything that waits what it needs; none when nothing can be given. */
export function allot(ledger: LedgerReader): ReadonlyArray<Command> {
  const commands: Array<Command> = []
  const networks = allotNetworks(ledger)
  if (networks.length > 0) commands.push({ type: "network.allot", v: 1, networks })
  // Services and tasks are given theirs when the networks' allotment has been applied.
  const addresses = new AddressBook(ledger)
  const services = allotServices(ledger, addresses)
  if (services.length > 0) commands.push({ type: "service.allot", v: 1, services })
  const given = new Map(services.map((service) => [service.id, service.endpoint]))
  const { nodes, full } = allotGateways(ledger, addresses)
  if (nodes.length > 0) commands.push({ type: "node.gateways", v: 1, nodes })
  const update = [...allotTasks(ledger, addresses, given), ...explainFull(ledger, full)]
  if (update.length > 0) commands.push({ type: "tasks.change", v: 1, create: [], update, remove: [] })
  return commands
}

// --- networks ------------------------------------------------------------------------------------------------

type NetworkAllotment = Extract<Command, { type: "network.allot" }>["networks"][number]

const isAllotted = (network: Network): boolean => network.Vni !== undefined

function allotNetworks(ledger: LedgerReader): ReadonlyArray<NetworkAllotment> {
  const waiting: Array<Network> = []
  const taken: Array<Subnet> = []
  const vnis = new Set<number>()
  for (const network of ledger.all("network")) {
    if (network.Vni === undefined) {
      waiting.push(network)
      continue
    }
    vnis.add(network.Vni)
    for (const config of network.IPAM.Config ?? []) {
      const subnet = parseSubnet(config.Subnet ?? "")
      if (subnet !== undefined) taken.push(subnet)
    }
  }
  const cluster = ledger.cluster()
  const pools = (cluster?.DefaultAddrPool ?? ["10.0.0.0/8"]).flatMap((pool) => parseSubnet(pool) ?? [])
  const given: Array<NetworkAllotment> = []
  for (const network of waiting) {
    const configs = subnetsOf(network, taken, pools, cluster?.SubnetSize ?? 24)
    if (configs === undefined) continue
    let vni = network.Ingress ? firstVni : firstVni + 1
    while (vnis.has(vni)) vni += 1
    if (vni > lastVni) continue
    vnis.add(vni)
    given.push({ id: network.ID, vni, ipam: { ...network.IPAM, Config: configs } })
  }
  return given
}

/** The network's subnets with gateways, `taken` extended by them; `undefined` while there is no room. */
function subnetsOf(
  network: Network,
  taken: Array<Subnet>,
  pools: ReadonlyArray<Subnet>,
  prefix: number
): Network["IPAM"]["Config"] | undefined {
  const asked = (network.IPAM.Config ?? []).filter((config) => config.Subnet !== undefined)
  const configs: Array<NonNullable<Network["IPAM"]["Config"]>[number]> = []
  const chosen: Array<Subnet> = []
  const isFree = (subnet: Subnet): boolean => ![...taken, ...chosen].some((other) => overlap(subnet, other))
  for (const config of asked) {
    const subnet = parseSubnet(config.Subnet ?? "")
    if (subnet === undefined || !isFree(subnet)) return undefined
    chosen.push(subnet)
    configs.push({ ...config, Gateway: config.Gateway ?? showAddress(subnet.family, subnet.base + 1n) })
  }
  if (!chosen.some((subnet) => subnet.family === 4)) {
    const subnet = nextSubnet(pools, prefix, isFree, taken)
    if (subnet === undefined) return undefined
    chosen.push(subnet)
    configs.unshift({ Subnet: showSubnet(subnet), Gateway: showAddress(4, subnet.base + 1n) })
  }
  if (network.EnableIPv6 && !chosen.some((subnet) => subnet.family === 6)) {
    // A unique local /64 (RFC 4193) that mirrors the IPv4 subnet is as free as that one is.
    const [ipv4] = chosen.filter((subnet) => subnet.family === 4)
    const base = (0xfd00_7470_6500_0000n << 64n) + ((ipv4?.base ?? 0n) << 64n)
    const subnet: Subnet = { family: 6, base, prefix: 64, size: 1n << 64n }
    if (!isFree(subnet)) return undefined
    chosen.push(subnet)
    configs.push({ Subnet: showSubnet(subnet), Gateway: showAddress(6, base + 1n) })
  }
  taken.push(...chosen)
  return configs
}

/** The first free subnet after the last one in use, so that a freed one rests as long as it can. */
function nextSubnet(
  pools: ReadonlyArray<Subnet>,
  prefix: number,
  isFree: (subnet: Subnet) => boolean,
  taken: ReadonlyArray<Subnet>
): Subnet | undefined {
  for (const pool of pools) {
    const size = 1n << BigInt(32 - prefix)
    const count = pool.size / size
    let start = 0n
    for (const other of taken) {
      if (!overlap(pool, other)) continue
      const after = (other.base + other.size - pool.base + size - 1n) / size
      if (after > start) start = after
    }
    for (let step = 0n; step < count; step++) {
      const base = pool.base + ((start + step) % count) * size
      const subnet: Subnet = { family: 4, base, prefix, size }
      if (isFree(subnet)) return subnet
    }
  }
  return undefined
}

// --- services ------------------------------------------------------------------------------------------------

type ServiceAllotment = Extract<Command, { type: "service.allot" }>["services"][number]

/** The cluster's networks that a service's tasks join, the ingress network among them when it is reached from outside. */
function joinedNetworks(ledger: LedgerReader, service: Service): ReadonlyArray<Network> | undefined {
  const found: Array<Network> = []
  if (usesIngress(service.Spec)) {
    const ingress = [...ledger.all("network")].find((network) => network.Ingress)
    if (ingress === undefined || !isAllotted(ingress)) return undefined
    found.push(ingress)
  }
  for (const target of networksOf(service.Spec)) {
    const network = ledger.get("network", target)
    // A network by another name is the node's own (`host`, `none`, a local bridge): nothing to give.
    if (network === undefined) continue
    if (!isAllotted(network)) return undefined
    found.push(network)
  }
  return found
}

function allotServices(ledger: LedgerReader, addresses: AddressBook): ReadonlyArray<ServiceAllotment> {
  const given: Array<ServiceAllotment> = []
  let ports: Set<string> | undefined
  for (const service of ledger.all("service")) {
    if (!hasPlace(service) || isSettled(ledger, service)) continue
    const networks = joinedNetworks(ledger, service)
    if (networks === undefined) continue
    ports ??= portsInUse(ledger)
    const endpoint = endpointFor(service, networks, ports, { addresses, isBoth: givesBoth(ledger) })
    if (endpoint !== undefined && !equal(endpoint, service.Endpoint)) {
      given.push({ id: service.ID, version: service.Version.Index, endpoint })
    }
  }
  return given
}

/** It asks for ports or networks, or was given some: of other services the allocator knows nothing. */
export const hasPlace = ({ Spec, Endpoint }: Service): boolean =>
  Endpoint !== undefined ||
  (Spec.EndpointSpec?.Ports ?? []).length > 0 ||
  networksOf(Spec).length > 0 ||
  usesIngress(Spec)

/** A quick answer for the many services that have all they ask for. */
function isSettled(ledger: LedgerReader, service: Service): boolean {
  const endpoint = service.Endpoint
  if (endpoint === undefined || !equal(endpoint.Spec ?? {}, service.Spec.EndpointSpec ?? {})) return false
  const wanted = service.Spec.EndpointSpec?.Mode === "dnsrr" ? [] : joinedNetworks(ledger, service)
  if (wanted === undefined) return false
  const has = new Map<string, number>()
  for (const { NetworkID } of endpoint.VirtualIPs ?? []) has.set(NetworkID, (has.get(NetworkID) ?? 0) + 1)
  const isBoth = givesBoth(ledger)
  return (
    has.size === wanted.length && wanted.every((network) => has.get(network.ID) === vipsOn(network, isBoth))
  )
}

/** Leaders of before give a service no virtual address of IPv6, and take back what another gave. */
const givesBoth = (ledger: LedgerReader): boolean =>
  (ledger.cluster()?.FeatureLevel ?? 0) >= levelOf["service.allot with IPv6"]

/** One of each family that the network has; Swarm's own have IPv4 alone. */
const vipsOn = ({ IPAM }: Network, isBoth: boolean): number =>
  isBoth ? new Set((IPAM.Config ?? []).map(({ Subnet }) => parseSubnet(Subnet ?? "")?.family)).size : 1

function portsInUse(ledger: LedgerReader): Set<string> {
  const used = new Set<string>()
  for (const service of ledger.all("service")) {
    for (const port of [...(service.Endpoint?.Ports ?? []), ...(service.Spec.EndpointSpec?.Ports ?? [])]) {
      if ((port.PublishedPort ?? 0) !== 0) used.add(`${protocolOf(port)}/${port.PublishedPort}`)
    }
  }
  return used
}

function endpointFor(
  service: Service,
  networks: ReadonlyArray<Network>,
  portsTaken: Set<string>,
  { addresses, isBoth }: { readonly addresses: AddressBook; readonly isBoth: boolean }
): Endpoint | undefined {
  const ports: Array<PortConfig> = []
  for (const asked of service.Spec.EndpointSpec?.Ports ?? []) {
    const port = { ...asked, Protocol: protocolOf(asked), PublishMode: asked.PublishMode ?? "ingress" }
    if ((port.PublishedPort ?? 0) !== 0 || !isIngress(port)) {
      ports.push(port)
      continue
    }
    const published = keptPort(service, asked) ?? freePort(port.Protocol, portsTaken)
    if (published === undefined) return undefined
    portsTaken.add(`${port.Protocol}/${published}`)
    ports.push({ ...port, PublishedPort: published })
  }
  const vips: Array<{ NetworkID: string; Addr: string }> = []
  if (service.Spec.EndpointSpec?.Mode !== "dnsrr") {
    for (const network of networks) {
      const own = (service.Endpoint?.VirtualIPs ?? []).filter(({ NetworkID }) => NetworkID === network.ID)
      const given = vipsFor(
        network,
        own.map(({ Addr }) => Addr),
        isBoth,
        addresses
      )
      if (given === undefined) return undefined
      for (const Addr of given) vips.push({ NetworkID: network.ID, Addr })
    }
  }
  return {
    Spec: service.Spec.EndpointSpec ?? {},
    ...(ports.length === 0 ? {} : { Ports: ports }),
    ...(vips.length === 0 ? {} : { VirtualIPs: vips })
  }
}

/** Those that it has stay; `undefined` while there is no room for another that it lacks. */
function vipsFor(
  network: Network,
  kept: ReadonlyArray<string>,
  isBoth: boolean,
  addresses: AddressBook
): ReadonlyArray<string> | undefined {
  const count = vipsOn(network, isBoth)
  if (kept.length >= count) return kept.slice(0, count)
  const familyOf = (cidr: string) => parseSubnet(cidr)?.family
  const taken = addresses.take(network)
  const firsts = taken?.filter(
    (cidr, at) => taken.findIndex((one) => familyOf(one) === familyOf(cidr)) === at
  )
  return firsts?.slice(0, count).map((cidr) => kept.find((one) => familyOf(one) === familyOf(cidr)) ?? cidr)
}

/** A chosen port stays with its target across updates. */
function keptPort(service: Service, asked: PortConfig): number | undefined {
  const now = service.Endpoint?.Ports ?? []
  const explicit = new Set((service.Spec.EndpointSpec?.Ports ?? []).map((port) => port.PublishedPort ?? 0))
  const same = now.find(
    (port) =>
      isIngress(port) &&
      port.TargetPort === asked.TargetPort &&
      protocolOf(port) === protocolOf(asked) &&
      !explicit.has(port.PublishedPort ?? 0)
  )
  return same?.PublishedPort
}

function freePort(protocol: string, taken: ReadonlySet<string>): number | undefined {
  for (let port = firstChosenPort; port <= lastChosenPort; port++) {
    if (!taken.has(`${protocol}/${port}`)) return port
  }
  return undefined
}

// --- tasks ---------------------------------------------------------------------------------------------------

const exhausted = (network: Network): string =>
  `no address left in network ${network.Name} (${(network.IPAM.Config ?? []).map((c) => c.Subnet).join(", ")})`

function allotTasks(
  ledger: LedgerReader,
  addresses: AddressBook,
  given: ReadonlyMap<string, Endpoint>
): ReadonlyArray<TaskPatch> {
  const patches: Array<TaskPatch> = []
  for (const task of ledger.tasksInState("new")) {
    const service = ledger.get("service", task.ServiceID)
    if (service === undefined || !isWanted(task)) continue
    const spec = ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? {}
    const networks = joinedNetworks(ledger, service)
    if (networks === undefined) continue
    if (networks.length > 0 && service.Endpoint === undefined && !given.has(service.ID)) continue
    const outcome = attach(networks, spec, service, addresses)
    // Said once: saying it again at every turn would write an entry each time.
    if (outcome === task.Status.Err) continue
    patches.push(patchFor(ledger, task, outcome))
  }
  return patches
}

/** The task's attachments, or the text that says why it has none. */
function attach(
  networks: ReadonlyArray<Network>,
  spec: TaskSpec,
  service: Service,
  addresses: AddressBook
): ReadonlyArray<Attachment> | string {
  const asked: ReadonlyArray<NetworkAttachmentConfig> = spec.Networks ?? service.Spec.Networks ?? []
  const attachments: Array<Attachment> = []
  for (const network of networks) {
    const found = addresses.take(network)
    if (found === undefined) return exhausted(network)
    const aliases = asked.find((config) => config.Target === network.ID)?.Aliases
    attachments.push({
      NetworkID: network.ID,
      Addresses: found,
      ...(aliases === undefined ? {} : { Aliases: aliases })
    })
  }
  return attachments
}

function patchFor(ledger: LedgerReader, task: Task, outcome: ReadonlyArray<Attachment> | string): TaskPatch {
  const stamp = toIso(ledger.time)
  if (typeof outcome === "string") {
    return {
      id: task.ID,
      version: task.Version.Index,
      Status: { Timestamp: stamp, State: "new", Message: "allocation failed", Err: outcome }
    }
  }
  return {
    id: task.ID,
    version: task.Version.Index,
    Status: { Timestamp: stamp, State: "pending", Message: "pending task scheduling" },
    ...(outcome.length === 0 ? {} : { Attachments: outcome })
  }
}
