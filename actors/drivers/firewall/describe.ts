/**
 * What a node lets through, as text for nftables: overlays kept apart from each other and from the cluster's own ports,
 * and no VXLAN packet from anybody but a member.
 *
 * A verdict of ours that lets a packet through is not the last one, a drop is: so these are only drops, and all of
 * Docker's and the administrator's rules stay in force.
 */
import { bridgeName, firewallTable, tunnelName } from "#actors/drivers/kernel/names.ts"
import { families, oneOf } from "#actors/drivers/kernel/nft-text.ts"
import type { OverlayTable } from "#actors/network/table.ts"

export interface Facts {
  readonly nodeId: string
  /** Ports of managers and daemons over TCP, which no container on an overlay has any business with. */
  readonly controlPorts: ReadonlyArray<number>
}

/** All bridges of overlays, of whichever node on this machine. */
const anyBridge = `iifname "br-t*"`

/** The whole table; `undefined` where there is nothing to keep apart, and the table is to go. */
export function describe(
  tables: ReadonlyArray<OverlayTable>,
  { nodeId, controlPorts }: Facts,
  tunnelPorts: ReadonlyArray<number> = []
): string | undefined {
  if (tables.length === 0) return undefined
  const ports = controlPorts.length > 0 ? `tcp dport ${oneOf(controlPorts)}` : undefined
  const peers = tables.flatMap((table) => table.peers.map(({ dataPath }) => dataPath))
  const input = [
    ...tables.flatMap((table) => foreignFrames(table, nodeId)),
    ...foreignTunnels(tables, tunnelPorts),
    ...(ports === undefined ? [] : [`${anyBridge} ${ports}`]),
    ...tables.flatMap(({ networkId, subnets }) =>
      families(subnets.map(({ gateway }) => gateway)).map(
        ([family, own]) => `${anyBridge} iifname != "${bridgeName(networkId)}" ${family} daddr ${oneOf(own)}`
      )
    )
  ]
  const forward = [
    ...tables.map(({ networkId }) => {
      const bridge = bridgeName(networkId)
      return `iifname "${bridge}" oifname "br-t*" oifname != "${bridge}"`
    }),
    ...(ports === undefined
      ? []
      : families(peers).map(([family, nodes]) => `${anyBridge} ${family} daddr ${oneOf(nodes)} ${ports}`))
  ]
  // Nothing of ours sends one past its tunnel; whatever else might, does not reach the wire.
  const output = tables
    .filter(({ encrypted }) => encrypted)
    .map((table) => `${frames(table)} oifname != ${tunnels(nodeId)}`)
  return [
    `table inet ${firewallTable(nodeId)} {`,
    ...chain("input", input),
    ...chain("forward", forward),
    ...(output.length > 0 ? chain("output", output) : []),
    "}",
    ""
  ].join("\n")
}

/**
 * The network's VXLAN packets that do not come from a peer. They are known by the network's id in the packet, 12 bytes
 * after UDP's beginning, so that whoever else has VXLAN on this machine is left alone.
 */
function foreignFrames(table: OverlayTable, nodeId: string): ReadonlyArray<string> {
  const ours = frames(table)
  return [
    ...fromOthers(ours, othersOn(table)),
    ...(table.encrypted ? [`${ours} iifname != ${tunnels(nodeId)}`] : [])
  ]
}

const frames = ({ port, vni }: OverlayTable): string => `udp dport ${port} @th,96,24 ${vni}`
const tunnels = (nodeId: string): string => `{ "${tunnelName(nodeId, 0)}", "${tunnelName(nodeId, 1)}" }`

/** What asks for a tunnel and is of no node on an encrypted network; WireGuard would not answer it either. */
function foreignTunnels(
  tables: ReadonlyArray<OverlayTable>,
  ports: ReadonlyArray<number>
): ReadonlyArray<string> {
  const encrypted = tables.filter((table) => table.encrypted)
  if (encrypted.length === 0 || ports.length === 0) return []
  return fromOthers(`udp dport ${oneOf(ports)}`, encrypted.flatMap(othersOn))
}

const othersOn = ({ peers, dataPath }: OverlayTable): ReadonlyArray<string> =>
  peers.map((peer) => peer.dataPath).filter((address) => address !== dataPath)

/** Such packets of anybody but the members. */
function fromOthers(packets: string, members: ReadonlyArray<string>): ReadonlyArray<string> {
  const known = new Map(families(members))
  return (["ip", "ip6"] as const).map((family) => {
    const addresses = known.get(family)
    if (addresses !== undefined) return `${packets} ${family} saddr != ${oneOf(addresses)}`
    return `meta nfproto ${family === "ip" ? "ipv4" : "ipv6"} ${packets}`
  })
}

/** Ahead of Docker's and most others' at 0, so that what is dropped costs them nothing. */
const chain = (hook: "input" | "forward" | "output", drops: ReadonlyArray<string>): ReadonlyArray<string> => [
  `  chain ${hook} {`,
  `    type filter hook ${hook} priority -10; policy accept;`,
  ...drops.map((match) => `    ${match} counter drop`),
  "  }"
]
