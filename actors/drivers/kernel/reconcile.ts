/**
 * What brings the kernel from what it is to what a node's overlays say: lines for `ip -batch` and `bridge -batch`.
 *
 * Each overlay is the Engine's bridge, with a VXLAN device on it as soon as another node takes part. Every peer's and
 * every remote task's hardware address and place are written ahead, so nothing is learned or flooded: a frame for an
 * address that is not in the tables goes nowhere. On an encrypted overlay each of these ways names the WireGuard device
 * that it goes through, and whoever cannot be reached through one is not reached at all.
 */
import { aliasOf, bridgeName, vxlanName } from "#actors/drivers/kernel/names.ts"
import type { KernelState, Link } from "#actors/drivers/kernel/state.ts"
import { vipsOf } from "#actors/drivers/kernel/vips.ts"
import type { TunnelsByPeer } from "#actors/drivers/wireguard/plan.ts"
import { parseAddress, parseSubnet } from "#actors/network/ip.ts"
import { macOf, type OverlayTable } from "#actors/network/table.ts"

export interface Repair {
  readonly ip: ReadonlyArray<string>
  /** Carried out after the others: its devices must be there. */
  readonly bridge: ReadonlyArray<string>
  /** For `ip` as well: what new containers' ports lack. That is no repair, nobody has changed anything. */
  readonly ports: ReadonlyArray<string>
  readonly bridgeless: ReadonlyArray<string>
  readonly problems: ReadonlyArray<string>
}

interface Draft {
  readonly ip: Array<string>
  readonly bridge: Array<string>
  readonly ports: Array<string>
  readonly bridgeless: Array<string>
  readonly problems: Array<string>
}

export function reconcile(
  tables: ReadonlyArray<OverlayTable>,
  { links, forwarding, neighbours }: KernelState,
  nodeId: string,
  tunnels: TunnelsByPeer = new Map()
): Repair {
  const draft: Draft = { ip: [], bridge: [], ports: [], bridgeless: [], problems: [] }
  const byName = new Map(links.map((link) => [link.ifname, link]))
  const wanted = new Set<string>()
  for (const table of tables) {
    const bridge = byName.get(bridgeName(table.networkId))
    if (bridge?.linkinfo?.info_kind !== "bridge") {
      draft.bridgeless.push(table.networkId)
      continue
    }
    if ((bridge.ifalias ?? aliasOf(nodeId)) !== aliasOf(nodeId)) {
      draft.problems.push(`network ${table.name}: device ${bridge.ifname} is ${bridge.ifalias}'s`)
      continue
    }
    tendBridge(draft, table, bridge, nodeId)
    tendVips(draft, table, bridge, links)
    if (!isStretched(table)) continue
    const name = vxlanName(table.networkId)
    const device = byName.get(name)
    if (device !== undefined && device.ifalias !== undefined && device.ifalias !== aliasOf(nodeId)) {
      draft.problems.push(`network ${table.name}: device ${name} is ${device.ifalias}'s`)
      continue
    }
    const here = tendDevice(draft, table, device, bridge, nodeId)
    wanted.add(name)
    tendEntries(draft, table, entriesOf(table, nodeId, tunnels), {
      forwarding: here ? forwarding.filter(({ ifname }) => ifname === name) : [],
      neighbours: here ? neighbours.filter(({ dev }) => dev === name) : []
    })
  }
  for (const { ifname, ifalias } of links) {
    if (ifname.startsWith("vx-t") && ifalias === aliasOf(nodeId) && !wanted.has(ifname)) {
      draft.ip.push(`link delete dev ${ifname}`)
    }
  }
  return draft
}

/** Somebody else is on the network: until then its bridge is all of it. Peers on this very machine count as we do. */
export const isStretched = (table: OverlayTable): boolean =>
  table.peers.some(({ dataPath }) => dataPath !== table.dataPath)

function tendBridge({ ip }: Draft, table: OverlayTable, bridge: Link, nodeId: string): void {
  const { ifname } = bridge
  if (bridge.ifalias === undefined) ip.push(`link set dev ${ifname} alias "${aliasOf(nodeId)}"`)
  const mac = macOfAny(table.subnets.map(({ gateway }) => gateway))
  if (mac !== undefined && bridge.address !== mac) ip.push(`link set dev ${ifname} address ${mac}`)
  const has = new Set(bridge.addr_info?.flatMap(({ local }) => local ?? []))
  for (const { subnet, gateway } of table.subnets) {
    const prefix = parseSubnet(subnet)?.prefix
    // A bridge of an earlier release has the network's own gateway alone.
    if (prefix !== undefined && !has.has(gateway)) ip.push(`address add ${gateway}/${prefix} dev ${ifname}`)
  }
  if (!bridge.flags.includes("UP")) ip.push(`link set dev ${ifname} up`)
}

/** Virtual addresses are the bridge's own, and what comes for them takes the way of address translation. */
function tendVips({ ip, ports }: Draft, table: OverlayTable, bridge: Link, links: ReadonlyArray<Link>): void {
  const { ifname, linkinfo } = bridge
  const wanted = new Set(vipsOf(table))
  const has =
    bridge.addr_info?.flatMap(({ local, prefixlen }) => (isAlone(local, prefixlen) && local) || []) ?? []
  for (const address of has) {
    if (!wanted.has(address)) ip.push(`address delete ${address}/${lengthOf(address)} dev ${ifname}`)
  }
  for (const address of wanted) {
    // Nobody else may have it, so nobody has to be asked, which would take a second. And no packet of this node's own comes
    // from it: what is answered there is refused.
    const flags = lengthOf(address) === 128 ? " nodad preferred_lft 0" : ""
    if (!has.includes(address)) ip.push(`address add ${address}/${lengthOf(address)} dev ${ifname}${flags}`)
  }
  const families = new Set([...wanted].map(lengthOf))
  for (const [length, setting] of [
    [32, "nf_call_iptables"],
    [128, "nf_call_ip6tables"]
  ] as const) {
    if (families.has(length) && linkinfo?.info_data?.[setting] !== 1)
      ip.push(`link set dev ${ifname} type bridge ${setting} 1`)
  }
  if (wanted.size === 0) return
  for (const port of links) {
    if (port.master !== ifname || port.linkinfo?.info_kind === "vxlan") continue
    if (port.linkinfo?.info_slave_data?.hairpin !== true)
      ports.push(`link set dev ${port.ifname} type bridge_slave hairpin on`)
  }
}

const lengthOf = (address: string): 32 | 128 => (parseAddress(address)?.family === 6 ? 128 : 32)

/** Not of a subnet: a virtual address. */
const isAlone = (address: string | undefined, length: number | undefined): boolean =>
  address !== undefined && length === lengthOf(address)

/** True when the device is there and stays, with the entries that it has. */
function tendDevice(
  { ip }: Draft,
  table: OverlayTable,
  device: Link | undefined,
  bridge: Link,
  nodeId: string
): boolean {
  const name = vxlanName(table.networkId)
  const { mtu } = table
  const isRight = device !== undefined && isSame(device, table)
  if (!isRight) {
    if (device !== undefined) ip.push(`link delete dev ${name}`)
    ip.push(
      `link add ${name} mtu ${mtu} type vxlan id ${table.vni} dstport ${table.port} local ${table.dataPath} nolearning proxy`
    )
  }
  const now = isRight ? device : undefined
  if (now?.ifalias === undefined) ip.push(`link set dev ${name} alias "${aliasOf(nodeId)}"`)
  if (now !== undefined && now.mtu !== mtu) ip.push(`link set dev ${name} mtu ${mtu}`)
  if (now?.master !== bridge.ifname) ip.push(`link set dev ${name} master ${bridge.ifname}`)
  if (now?.master !== bridge.ifname || now.linkinfo?.info_slave_data?.learning !== false) {
    ip.push(`link set dev ${name} type bridge_slave learning off`)
  }
  if (now?.flags.includes("UP") !== true) ip.push(`link set dev ${name} up`)
  return now !== undefined
}

function isSame({ linkinfo }: Link, table: OverlayTable): boolean {
  const data = linkinfo?.info_data
  return (
    linkinfo?.info_kind === "vxlan" &&
    data?.id === table.vni &&
    data.port === table.port &&
    (data.local ?? data.local6) === table.dataPath &&
    data.learning === false &&
    data.proxy === true
  )
}

function tendEntries(
  { ip, bridge }: Draft,
  table: OverlayTable,
  { places, owners }: Entries,
  has: Pick<KernelState, "forwarding" | "neighbours">
): void {
  const name = vxlanName(table.networkId)
  const known = new Set<string>()
  const fixed = new Set<string>()
  for (const { mac, dst, viaIf, master, state } of has.forwarding) {
    const place = places.get(mac)
    if (dst !== undefined) {
      // One that goes another way is replaced in one step.
      if (place?.dataPath !== dst) bridge.push(`fdb delete ${mac} dev ${name} dst ${dst} self`)
      else if (place.tunnel === viaIf) known.add(mac)
    } else if (master !== undefined && state === "static") {
      if (places.has(mac)) fixed.add(mac)
      else bridge.push(`fdb delete ${mac} dev ${name} master`)
    }
  }
  for (const [mac, { dataPath, tunnel }] of places) {
    const through = tunnel === undefined ? "" : ` via ${tunnel}`
    if (!known.has(mac))
      bridge.push(`fdb replace ${mac} dev ${name} dst ${dataPath}${through} self permanent`)
    if (!fixed.has(mac)) bridge.push(`fdb replace ${mac} dev ${name} master static`)
  }
  const met = new Set<string>()
  for (const { dst, lladdr } of has.neighbours) {
    if (owners.get(dst) === lladdr) met.add(dst)
    else if (!owners.has(dst)) ip.push(`neighbour delete ${dst} dev ${name}`)
  }
  for (const [address, mac] of owners) {
    if (!met.has(address)) ip.push(`neighbour replace ${address} lladdr ${mac} dev ${name} nud permanent`)
  }
}

interface Place {
  readonly dataPath: string
  readonly tunnel?: string
}

/** Where each remote hardware address is, and which remote address has which. */
interface Entries {
  readonly places: ReadonlyMap<string, Place>
  readonly owners: ReadonlyMap<string, string>
}

function entriesOf(table: OverlayTable, nodeId: string, tunnels: TunnelsByPeer): Entries {
  const places = new Map<string, Place>()
  const owners = new Map<string, string>()
  const dataPaths = new Map<string, Place>()
  const note = (addresses: ReadonlyArray<string>, place: Place): void => {
    const mac = macOfAny(addresses)
    if (mac === undefined) return
    places.set(mac, place)
    for (const address of addresses) owners.set(address, mac)
  }
  for (const peer of table.peers) {
    if (peer.nodeId === nodeId || peer.dataPath === table.dataPath) continue
    const tunnel = table.encrypted ? tunnels.get(peer.nodeId) : undefined
    if (table.encrypted && tunnel === undefined) continue
    const place = { dataPath: peer.dataPath, ...(tunnel !== undefined && { tunnel }) }
    dataPaths.set(peer.nodeId, place)
    note(peer.gateways, place)
  }
  for (const { tasks } of table.services) {
    for (const task of tasks) {
      const place = dataPaths.get(task.nodeId)
      if (place !== undefined) note(task.addresses, place)
    }
  }
  return { places, owners }
}

/** All addresses of one endpoint share the hardware address that its first IPv4 address stands for. */
function macOfAny(addresses: ReadonlyArray<string>): string | undefined {
  const ipv4 = addresses.find((address) => parseAddress(address)?.family === 4)
  return ipv4 && macOf(ipv4)
}
