/**
 * What a node lets through, as text for nftables: overlays kept apart from each other and from the cluster's own ports,
 * and no VXLAN packet from anybody but a member.
 *
 * A verdict of ours that lets a packet through is not the last one, a drop is: so these are only drops, and all of
 * Docker's and the administrator's rules stay in force.
 */
import { bridgeName, firewallTable } from "#actors/drivers/kernel/names.ts"
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
  { nodeId, controlPorts }: Facts
): string | undefined {
  if (tables.length === 0) return undefined
  const ports = controlPorts.length > 0 ? `tcp dport ${oneOf(controlPorts)}` : undefined
  const peers = tables.flatMap((table) => table.peers.map(({ dataPath }) => dataPath))
  const input = [
    ...tables.flatMap(foreignFrames),
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
  return [
    `table inet ${firewallTable(nodeId)} {`,
    ...chain("input", input),
    ...chain("forward", forward),
    "}",
    ""
  ].join("\n")
}

/**
 * The network's VXLAN packets that do not come from a peer. They are known by the network's id in the packet, 12 bytes
 * after UDP's beginning, so that whoever else has VXLAN on this machine is left alone.
 */
function foreignFrames({ port, vni, peers, dataPath }: OverlayTable): ReadonlyArray<string> {
  const ours = `udp dport ${port} @th,96,24 ${vni}`
  const known = new Map(
    families(peers.map((peer) => peer.dataPath).filter((address) => address !== dataPath))
  )
  return (["ip", "ip6"] as const).map((family) => {
    const members = known.get(family)
    if (members !== undefined) return `${ours} ${family} saddr != ${oneOf(members)}`
    return `meta nfproto ${family === "ip" ? "ipv4" : "ipv6"} ${ours}`
  })
}

/** Ahead of Docker's and most others' at 0, so that what is dropped costs them nothing. */
const chain = (hook: "input" | "forward", drops: ReadonlyArray<string>): ReadonlyArray<string> => [
  `  chain ${hook} {`,
  `    type filter hook ${hook} priority -10; policy accept;`,
  ...drops.map((match) => `    ${match} counter drop`),
  "  }"
]
