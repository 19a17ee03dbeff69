/**
 * What a node knows of the overlays it takes part in: who is on them and where, what answers to which name, and who
 * stands behind a virtual address. The leader works it out of the ledger (`tabulate.ts`); on the node the bridges, the
 * forwarding entries, the names and the nftables rules are all made from it and compared with it.
 *
 * Addresses carry no prefix length; lists are sorted by id, so that equal tables are equal as JSON.
 */
import { Schema } from "effect"
import { HttpRoute } from "#actors/model/http-route.ts"
import { TunnelKey } from "#actors/model/objects.ts"

const text = Schema.String
const whole = Schema.Int
const truth = Schema.Boolean
const optional = Schema.optionalKey
const list = Schema.Array

/** Another node on the network. */
export const Peer = Schema.Struct({
  nodeId: text,
  /** Where its VXLAN packets go (`--data-path-addr`). */
  dataPath: text,
  /** Its own addresses on the subnets, one per family. */
  gateways: list(text),
  /** What it is known by on an encrypted overlay. */
  keys: optional(list(TunnelKey))
})
export type Peer = typeof Peer.Type

export const ServedPort = Schema.Struct({
  /** As the service calls it, for SRV records. */
  name: optional(text),
  protocol: Schema.Literals(["tcp", "udp"]),
  targetPort: whole,
  /** The cluster's port, where it is published in ingress mode. */
  publishedPort: optional(whole)
})
export type ServedPort = typeof ServedPort.Type

/** One task's place on the network. */
export const TaskRow = Schema.Struct({
  taskId: text,
  nodeId: text,
  /** The container's name, `web.1.<task id>`. */
  name: text,
  hostname: optional(text),
  /** One per family. */
  addresses: list(text),
  /** Runs, is healthy, and is wanted: whoever asks by the service's name, its VIP or a published port may get it. */
  serving: truth,
  /** Where it wants names that are not the cluster's looked up (`--dns`), if not at its node's resolvers. */
  resolvers: optional(list(text))
})
export type TaskRow = typeof TaskRow.Type

/**
 * A service on one network, with all its tasks there that have an address and a node, and have not ended. A container
 * that people attached to the network is a service of one.
 */
export const ServiceRow = Schema.Struct({
  serviceId: text,
  /** Its id, once it is removed and only its last tasks are left. */
  name: text,
  /** Names beside its own by which it is found on this network alone. */
  aliases: list(text),
  /** Virtual addresses, one per family; none under `endpoint_mode: dnsrr`. */
  vips: list(text),
  ports: list(ServedPort),
  /** Which requests at nodes' HTTP entrances are its tasks'; on the ingress network alone. */
  http: optional(HttpRoute),
  /**
   * What whoever asks while no task serves can wait for: a task, which is wanted; or one that the first caller begins.
   * Absent where none will come. On the ingress network alone.
   */
  awaits: optional(Schema.Literals(["task", "caller"])),
  tasks: list(TaskRow)
})
export type ServiceRow = typeof ServiceRow.Type

/** An overlay but for who is on it, as the node that reads it sees it. */
export const OverlayHead = Schema.Struct({
  networkId: text,
  name: text,
  /** VXLAN network id. */
  vni: whole,
  /** The UDP port of VXLAN packets, on every node. */
  port: whole,
  /** Where this node's own VXLAN packets come from, and the others' arrive. */
  dataPath: text,
  /** Of a packet on the overlay. */
  mtu: whole,
  /** `gateway` is this node's own address on the subnet: its bridge's, and the source of what it masquerades. */
  subnets: list(Schema.Struct({ subnet: text, gateway: text })),
  internal: truth,
  attachable: truth,
  encrypted: truth,
  ingress: truth
})
export type OverlayHead = typeof OverlayHead.Type

/** One overlay, as the node that reads it sees it. */
export interface OverlayTable extends OverlayHead {
  readonly peers: ReadonlyArray<Peer>
  readonly services: ReadonlyArray<ServiceRow>
}

/** What is new of a service's tasks; those that are not named stay, and so does the rest of its row. */
export const TasksChange = Schema.Struct({ serviceId: text, tasks: list(TaskRow), gone: list(text) })
export type TasksChange = typeof TasksChange.Type

/** What is new of one overlay. With a head it is all there is; without one, rows that are not named stay. */
export const OverlayChange = Schema.Struct({
  networkId: text,
  head: optional(OverlayHead),
  peers: list(Peer),
  peersGone: list(text),
  services: list(ServiceRow),
  servicesGone: list(text),
  tasks: optional(list(TasksChange))
})
export type OverlayChange = typeof OverlayChange.Type

/** The hardware address of an IPv4 address's owner, as Docker derives it: `02:42:` and the address in hex. */
export const macOf = (ipv4: string): string =>
  ["02", "42", ...ipv4.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"))].join(":")
