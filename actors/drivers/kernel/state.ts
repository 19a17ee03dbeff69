/** The kernel's devices, forwarding and neighbour entries, as `ip` and `bridge` tell them in JSON; what we read of them. */
import { Schema } from "effect"

const text = Schema.String
const optional = Schema.optionalKey
const list = Schema.Array

/** `ip -j -d address show` */
export const Links = list(
  Schema.Struct({
    ifname: text,
    flags: list(text),
    mtu: optional(Schema.Number),
    address: optional(text),
    ifalias: optional(text),
    master: optional(text),
    linkinfo: optional(
      Schema.Struct({
        info_kind: optional(text),
        info_data: optional(
          Schema.Struct({
            id: optional(Schema.Number),
            local: optional(text),
            local6: optional(text),
            port: optional(Schema.Number),
            learning: optional(Schema.Boolean),
            proxy: optional(Schema.Boolean),
            nf_call_iptables: optional(Schema.Number),
            nf_call_ip6tables: optional(Schema.Number)
          })
        ),
        info_slave_data: optional(
          Schema.Struct({ learning: optional(Schema.Boolean), hairpin: optional(Schema.Boolean) })
        )
      })
    ),
    addr_info: optional(list(Schema.Struct({ local: optional(text), prefixlen: optional(Schema.Number) })))
  })
)
export type Link = (typeof Links.Type)[number]

/** `bridge -j fdb show` */
export const ForwardingEntries = list(
  Schema.Struct({
    mac: text,
    ifname: optional(text),
    dst: optional(text),
    /** The device that packets for `dst` leave by, whatever the routes say. */
    viaIf: optional(text),
    master: optional(text),
    state: optional(text),
    flags: optional(list(text))
  })
)
export type ForwardingEntry = (typeof ForwardingEntries.Type)[number]

/** `ip -j neighbour show nud permanent` */
export const Neighbours = list(Schema.Struct({ dst: text, dev: optional(text), lladdr: optional(text) }))
export type Neighbour = (typeof Neighbours.Type)[number]

/** All of it at one moment. */
export interface KernelState {
  readonly links: ReadonlyArray<Link>
  readonly forwarding: ReadonlyArray<ForwardingEntry>
  readonly neighbours: ReadonlyArray<Neighbour>
}
