/**
 * Which tunnels a node's encrypted overlays need, and through which of them each other node is reached.
 *
 * A node has a device for its key of every epoch that it keeps, and on it those who have a key of the same epoch. While
 * keys change there are two; what is for another node goes through the newer one as soon as the two have shaken hands
 * there, and comes in through both. No route leads into a device: VXLAN names it, so that nothing finds its way into one
 * by itself, nor a packet of VXLAN past it.
 */
import { tunnelName } from "#actors/drivers/kernel/names.ts"
import type { Shown } from "#actors/drivers/wireguard/show.ts"
import type { TunnelKey } from "#actors/model/objects.ts"
import { parseAddress } from "#actors/network/ip.ts"
import type { OverlayTable, Peer } from "#actors/network/table.ts"

/** Devices by the ids of the nodes that are reached through them. */
export type TunnelsByPeer = ReadonlyMap<string, string>

export interface Key extends TunnelKey {
  readonly PrivateKey: string
}

export interface Tunnel {
  readonly device: string
  readonly key: Key
  readonly mtu: number
  /** The others that have a key of this epoch, by node. */
  readonly peers: ReadonlyArray<TunnelPeer>
}

export interface TunnelPeer {
  readonly nodeId: string
  readonly publicKey: string
  /** Of its data path; packets from and to it alone pass. */
  readonly address: string
  readonly port: number
}

/** What VXLAN and an IPv6 header put around a packet of an overlay. */
const vxlanBytes = 70
/** Both sides shake hands again at once, and firewalls on the way remember them. Seconds. */
const keepAlive = 25

export const isTunnelled = ({ encrypted, peers, dataPath }: OverlayTable): boolean =>
  encrypted && peers.some((peer) => peer.dataPath !== dataPath)

/** The other nodes on encrypted overlays, each once, in the order of their ids. */
function othersOf(tables: ReadonlyArray<OverlayTable>): ReadonlyArray<Peer> {
  const others = new Map<string, Peer>()
  for (const { peers, dataPath } of tables.filter(isTunnelled)) {
    for (const peer of peers) if (peer.dataPath !== dataPath) others.set(peer.nodeId, peer)
  }
  return [...others.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
}

const keyOf = ({ keys = [] }: Peer, epoch: number): TunnelKey | undefined =>
  keys.find(({ Epoch }) => Epoch === epoch)

/** One for every key of this node's, as long as it is on an encrypted overlay with another node. */
export function tunnelsOf(
  tables: ReadonlyArray<OverlayTable>,
  keys: ReadonlyArray<Key>,
  nodeId: string
): ReadonlyArray<Tunnel> {
  const others = othersOf(tables)
  if (others.length === 0) return []
  const mtu = Math.max(...tables.filter(isTunnelled).map((table) => table.mtu)) + vxlanBytes
  return keys.map((key) => ({
    device: tunnelName(nodeId, key.Epoch),
    key,
    mtu,
    peers: others.flatMap((peer) => {
      const theirs = keyOf(peer, key.Epoch)
      // By IPv6, the kernel asks for a route into a device that a packet is to leave by.
      if (theirs === undefined || parseAddress(peer.dataPath)?.family !== 4) return []
      const { PublicKey: publicKey, Port: port } = theirs
      return [{ nodeId: peer.nodeId, publicKey, address: peer.dataPath, port }]
    })
  }))
}

/** Through which device each peer is reached, by what the devices show, and who is not reached at all. */
export function chooseTunnels(
  tables: ReadonlyArray<OverlayTable>,
  tunnels: ReadonlyArray<Tunnel>,
  shown: ReadonlyMap<string, Shown>
): { readonly tunnels: TunnelsByPeer; readonly unreached: ReadonlyArray<string> } {
  const newestFirst = [...tunnels].sort((a, b) => b.key.Epoch - a.key.Epoch)
  const chosen = new Map<string, string>()
  const unreached: Array<string> = []
  for (const { nodeId } of othersOf(tables)) {
    const common = newestFirst.flatMap(({ device, peers }) => {
      const peer = peers.find((one) => one.nodeId === nodeId)
      return peer === undefined ? [] : [{ device, ...peer }]
    })
    const met = common.find(({ device, publicKey }) => shown.get(device)?.peers.get(publicKey)?.hasMet)
    const device = (met ?? common.at(-1))?.device
    if (device === undefined) unreached.push(nodeId)
    else chosen.set(nodeId, device)
  }
  return { tunnels: chosen, unreached }
}

const prefixOf = (address: string): string => `${address}/32`

/**
 * True when the device is as the tunnel says. Where a peer was heard last is not looked at: WireGuard itself follows
 * those whose key it knows.
 */
export const isConfigured = ({ key, peers }: Tunnel, shown: Shown | undefined): boolean =>
  shown !== undefined &&
  shown.privateKey === key.PrivateKey &&
  shown.port === key.Port &&
  shown.peers.size === peers.length &&
  peers.every(({ publicKey, address }) => {
    const peer = shown.peers.get(publicKey)
    return peer?.allowed === prefixOf(address) && peer.endpoint !== undefined && peer.keepAlive === keepAlive
  })

/** For `wg syncconf`, which leaves alone those that stay as they are. It holds the private key. */
export const configurationOf = ({ key, peers }: Tunnel): string =>
  [
    `[Interface]\nPrivateKey = ${key.PrivateKey}\nListenPort = ${key.Port}\n`,
    ...peers.map(
      ({ publicKey, address, port }) =>
        `[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = ${prefixOf(address)}\nEndpoint = ${address}:${port}\nPersistentKeepalive = ${keepAlive}\n`
    )
  ].join("")
