/**
 * Published ports, as an nftables table: whoever connects to one at any address of this machine gets one of the service's
 * tasks, on whatever node. The whole table is replaced at once; connections under way are the kernel's and stay.
 *
 * The data plane has the same ports open behind it, and carries what comes by: ports that nobody serves at the moment,
 * what comes from this machine's loopback address or from containers on overlays, and families that tasks do not have.
 */
import { bridgeName, ingressTable } from "#actors/drivers/kernel/names.ts"
import { type Family, oneOf } from "#actors/drivers/kernel/nft-text.ts"
import { keyOfTarget, type Target } from "#actors/drivers/kernel/reached.ts"
import type { Ways } from "#actors/drivers/kernel/ways.ts"
import { parseAddress, parseSubnet } from "#actors/network/ip.ts"
import { keyOfPort } from "#actors/network/plan.ts"
import type { OverlayTable } from "#actors/network/table.ts"

/** By this a connection to a published port is known to be let through (`troupe` in the first four letters). */
export const ingressMark = "0x74726f75"

const families: ReadonlyArray<readonly [Family, 4 | 6]> = [
  ["ip", 4],
  ["ip6", 6]
]

const ofFamily = (addresses: ReadonlyArray<string>, family: 4 | 6): string | undefined =>
  addresses.find((address) => parseAddress(address)?.family === family)

/** Where this machine may lead connections, whether or not anybody takes them there. */
export function doorsOf(tables: ReadonlyArray<OverlayTable>, open: ReadonlyArray<string>, ways: Ways): Doors {
  const isOpen = new Set(open)
  const networks = tables.filter(({ ingress }) => ingress)
  const of = (family: Family, version: 4 | 6): ReadonlyArray<Door> =>
    ways[family] ? doorsOfFamily(networks, isOpen, ways, version) : []
  return { ip: of("ip", 4), ip6: of("ip6", 6) }
}

/** What has to be reached before anybody is led there; of UDP it cannot be known. */
export const targetsOf = ({ ip, ip6 }: Doors): ReadonlyArray<Target> =>
  [...ip, ...ip6].flatMap(({ protocol, targetPort, backends }) =>
    protocol === "tcp" ? backends.map((address) => ({ address, port: targetPort })) : []
  )

/** Without what is not among the targets that were reached, by key. */
export function reachable({ ip, ip6 }: Doors, reached: ReadonlySet<string>): Doors {
  const only = (doors: ReadonlyArray<Door>): ReadonlyArray<Door> =>
    doors.flatMap((door) => {
      const { protocol, targetPort: port } = door
      const isReached = (address: string): boolean =>
        protocol === "udp" || reached.has(keyOfTarget({ address, port }))
      const backends = door.backends.filter(isReached)
      return backends.length === 0 ? [] : [{ ...door, backends }]
    })
  return { ip: only(ip), ip6: only(ip6) }
}

/** The whole table; `undefined` where it would lead nowhere, and is to go. */
export function ingressRules(
  tables: ReadonlyArray<OverlayTable>,
  doors: Doors,
  ways: Ways,
  nodeId: string
): string | undefined {
  const networks = tables.filter(({ ingress }) => ingress)
  const parts = families.map(([family, version]): Part => {
    const leaving = networks.flatMap((table) => leavingRule(table, family, version))
    return { family, version, doors: doors[family], leaving }
  })
  const used = parts.filter(({ doors }) => doors.length > 0)
  if (used.length === 0) return undefined
  const name = ingressTable(nodeId)
  return `table inet ${name} {
${used.map((part) => setsOf(part, tables, ways, nodeId)).join("\n")}
${used.flatMap(({ family, doors }) => doors.map((door) => chainOf(family, door))).join("\n")}
  chain choose {
    fib daddr type != local return
${used.map(({ family, version }) => choosing(family, version)).join("\n")}
  }
  chain arriving { type nat hook prerouting priority dstnat - 4; iifname != "br-t*" meta l4proto { tcp, udp } jump choose; }
  chain sent { type nat hook output priority -104; meta l4proto { tcp, udp } jump choose; }
  chain leaving {
    type nat hook postrouting priority srcnat - 4;
    ct mark != ${ingressMark} return
${used.flatMap(({ leaving }) => leaving).join("\n")}
  }
}
${used.map(({ version, doors }) => `add element inet ${name} doors${version} { ${doors.map(elementOf(version)).join(", ")} }\n`).join("")}`
}

export type Doors = Readonly<Record<Family, ReadonlyArray<Door>>>

export interface Door {
  readonly protocol: "tcp" | "udp"
  readonly publishedPort: number
  readonly targetPort: number
  readonly backends: ReadonlyArray<string>
}

interface Part {
  readonly family: Family
  readonly version: 4 | 6
  readonly doors: ReadonlyArray<Door>
  readonly leaving: ReadonlyArray<string>
}

function doorsOfFamily(
  networks: ReadonlyArray<OverlayTable>,
  isOpen: ReadonlySet<string>,
  ways: Ways,
  version: 4 | 6
): ReadonlyArray<Door> {
  const doors = new Map<string, Door>()
  for (const { ports, tasks } of networks.flatMap(({ services }) => services)) {
    const backends = tasks.flatMap(
      ({ serving, addresses }) => (serving && ofFamily(addresses, version)) || []
    )
    if (backends.length === 0) continue
    for (const { protocol, targetPort, publishedPort } of ports) {
      if (publishedPort === undefined || (protocol === "udp" && !ways.udp)) continue
      const key = keyOfPort({ protocol, publishedPort })
      if (isOpen.has(key)) doors.set(key, { protocol, publishedPort, targetPort, backends })
    }
  }
  return [...doors.values()]
}

const doorName = (version: 4 | 6, { protocol, publishedPort }: Door): string =>
  `to${version}_${protocol}_${publishedPort}`

const elementOf =
  (version: 4 | 6) =>
  (door: Door): string =>
    `${door.protocol} . ${door.publishedPort} : goto ${doorName(version, door)}`

function chainOf(family: Family, door: Door): string {
  const { protocol, targetPort, backends } = door
  const choices = backends.map((address, at) => `${at} : ${address}`).join(", ")
  // Not in turn: where a machine's own link is a bridge, a packet may be counted twice.
  const target = `numgen random mod ${backends.length} map { ${choices} }:${targetPort}`
  return `  chain ${doorName(family === "ip" ? 4 : 6, door)} { meta l4proto ${protocol} ct mark set ${ingressMark} dnat ${family} to ${target}; }`
}

/** Addresses of overlays are virtual ones or bridges', which have rules of their own. */
function choosing(family: Family, version: 4 | 6): string {
  const loopback = version === 4 ? "127.0.0.0/8" : "::1"
  return `    ${family} daddr ${loopback} return
    ${family} daddr @inside${version} return
    meta nfproto ipv${version} meta l4proto . th dport vmap @doors${version}`
}

function setsOf({ version }: Part, tables: ReadonlyArray<OverlayTable>, ways: Ways, nodeId: string): string {
  const subnets = tables
    .flatMap((table) => table.subnets.map(({ subnet }) => subnet))
    .filter((subnet) => parseSubnet(subnet)?.family === version)
  const type = `ipv${version}_addr`
  const elements = (values: ReadonlyArray<string>): string =>
    values.length === 0 ? "" : ` elements = ${oneOf(values)};`
  return `  set inside${version} { type ${type}; flags interval; auto-merge;${elements(subnets)} }
  set here${version} { type ${type};${elements(here(tables, version, ways, nodeId))} }
  map doors${version} { type inet_proto . inet_service : verdict; }`
}

/**
 * Tasks of this node, which answer by way of it and see the client's own address. Where packets are only taken from where
 * their sender would be answered, one that is on other networks as well may answer by another: it sees its node's.
 */
function here(
  tables: ReadonlyArray<OverlayTable>,
  version: 4 | 6,
  { isStrict }: Ways,
  nodeId: string
): ReadonlyArray<string> {
  const own = (wanted: boolean) =>
    tables
      .filter(({ ingress }) => ingress === wanted)
      .flatMap(({ services }) => services.flatMap(({ tasks }) => tasks))
      .filter((task) => task.nodeId === nodeId)
  const elsewhere = new Set(isStrict && version === 4 ? own(false).map(({ taskId }) => taskId) : [])
  return own(true).flatMap(
    ({ taskId, addresses }) => (!elsewhere.has(taskId) && ofFamily(addresses, version)) || []
  )
}

/** Another node's task answers this node, which has the connection. */
function leavingRule(
  { networkId, subnets }: OverlayTable,
  family: Family,
  version: 4 | 6
): ReadonlyArray<string> {
  const gateway = ofFamily(
    subnets.map((subnet) => subnet.gateway),
    version
  )
  return gateway === undefined
    ? []
    : [
        `    oifname "${bridgeName(networkId)}" ${family} daddr != @here${version} snat ${family} to ${gateway}`
      ]
}
