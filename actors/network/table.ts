/**
 * What a node knows of the overlays it takes part in: who is on them and where, what answers to which name, and who
 * stands behind a virtual address. The leader works it out of the ledger; on the node the bridges, the forwarding
 * entries, the names and the nftables rules are all made from it and compared with it.
 *
 * Addresses carry no prefix length; lists are sorted by id, so that equal tables are equal as JSON.
 */

/** One overlay, as the node that reads it sees it. */
export interface OverlayTable {
  readonly networkId: string
  readonly name: string
  /** VXLAN network id. */
  readonly vni: number
  /** `gateway` is this node's own address on the subnet: its bridge's, and the source of what it masquerades. */
  readonly subnets: ReadonlyArray<{ readonly subnet: string; readonly gateway: string }>
  readonly internal: boolean
  readonly encrypted: boolean
  readonly ingress: boolean
  readonly peers: ReadonlyArray<Peer>
  readonly services: ReadonlyArray<ServiceRow>
}

/** Another node on the network. */
export interface Peer {
  readonly nodeId: string
  /** Where its VXLAN packets go (`--data-path-addr`). */
  readonly dataPath: string
  /** Its own addresses on the subnets, one per family. */
  readonly gateways: ReadonlyArray<string>
}

/** A service on one network, with all its tasks there that have an address and have not ended. */
export interface ServiceRow {
  readonly serviceId: string
  readonly name: string
  /** Names beside its own by which it is found on this network alone. */
  readonly aliases: ReadonlyArray<string>
  /** Virtual addresses, one per family; none under `endpoint_mode: dnsrr`. */
  readonly vips: ReadonlyArray<string>
  readonly ports: ReadonlyArray<ServedPort>
  readonly tasks: ReadonlyArray<TaskRow>
}

export interface ServedPort {
  readonly protocol: "tcp" | "udp"
  readonly targetPort: number
  /** The cluster's port, where it is published in ingress mode. */
  readonly publishedPort?: number
}

/** One task's place on the network. */
export interface TaskRow {
  readonly taskId: string
  readonly nodeId: string
  /** The container's name, `web.1.<task id>`. */
  readonly name: string
  readonly hostname?: string
  /** One per family. */
  readonly addresses: ReadonlyArray<string>
  /** Runs, is healthy, and is wanted: whoever asks by the service's name, its VIP or a published port may get it. */
  readonly serving: boolean
}

/** The hardware address of an IPv4 address's owner, as Docker derives it: `02:42:` and the address in hex. */
export const macOf = (ipv4: string): string =>
  ["02", "42", ...ipv4.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"))].join(":")
