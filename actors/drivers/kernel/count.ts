/**
 * How many connections the kernel leads to tasks, by published port and by virtual address. They are counted in a table of
 * its own, whose text is always the same: the tables that lead are written again and again as tasks come and go, and what
 * is counted in a table goes with it. Only a connection's first packet comes by there, so others cost nothing.
 */
import { Effect, Schema } from "effect"
import { ingressMark } from "#actors/drivers/kernel/ingress.ts"
import { countTable } from "#actors/drivers/kernel/names.ts"
import { KernelError } from "#actors/drivers/kernel/run.ts"
import type { Endpoint, Led } from "#actors/drivers/led.ts"
import { keyOfPort } from "#actors/network/plan.ts"
import type { OverlayTable } from "#actors/network/table.ts"

/** Nobody asks any more: it makes room, and reading takes no longer than what is in use. Then its counter begins anew. */
const keptFor = "10m"

/** What was led has another target by now: virtual addresses to an overlay, and ports by their mark. */
export const countRules = (nodeId: string): string => `table inet ${countTable(nodeId)} {
${[
  ["tcp_ports", "inet_service"],
  ["udp_ports", "inet_service"],
  ["vips", "ipv4_addr"],
  ["vips6", "ipv6_addr"]
]
  .map(
    ([set, type]) => `  set ${set} { type ${type}; size 65535; flags dynamic, timeout; timeout ${keptFor}; }`
  )
  .join("\n")}
  chain leaving {
    type nat hook postrouting priority srcnat - 6;
    ct status & dnat == 0 return
    ct mark ${ingressMark} meta l4proto tcp update @tcp_ports { ct original proto-dst counter } return
    ct mark ${ingressMark} meta l4proto udp update @udp_ports { ct original proto-dst counter } return
    oifname "br-t*" meta nfproto ipv4 update @vips { ct original ip daddr counter } return
    oifname "br-t*" meta nfproto ipv6 update @vips6 { ct original ip6 daddr counter }
  }
}
`

/** What its counters stand for; of published ports, those that are `open` at this node, by key. */
export function countedEndpoints(
  tables: ReadonlyArray<OverlayTable>,
  open: ReadonlyArray<string>
): ReadonlyMap<string, Endpoint> {
  const isOpen = new Set(open)
  const found = new Map<string, Endpoint>()
  for (const { networkId, ingress, services } of tables) {
    for (const { serviceId, vips, ports } of services) {
      for (const vip of vips) found.set(vip, { _tag: "VirtualIp", serviceId, networkId })
      if (!ingress) continue
      for (const { protocol, publishedPort } of ports) {
        if (publishedPort === undefined) continue
        const key = keyOfPort({ protocol, publishedPort })
        if (isOpen.has(key)) found.set(key, { _tag: "Port", serviceId, protocol, publishedPort })
      }
    }
  }
  return found
}

/** `nft -j list table` */
const Listing = Schema.Struct({
  nftables: Schema.Array(
    Schema.Struct({
      set: Schema.optionalKey(
        Schema.Struct({
          name: Schema.String,
          elem: Schema.optionalKey(
            Schema.Array(
              Schema.Struct({
                elem: Schema.Struct({
                  val: Schema.Union([Schema.String, Schema.Number]),
                  counter: Schema.Struct({ packets: Schema.Number })
                })
              })
            )
          )
        })
      )
    })
  )
})
const decodeListing = Schema.decodeUnknownSync(Schema.fromJsonString(Listing))

const prefixes: Readonly<Record<string, string>> = { tcp_ports: "tcp/", udp_ports: "udp/" }

/** By key of a port and by address, out of what `nft -j` lists of the table. */
export const parseCounts = (listed: string): Effect.Effect<Led["counts"], KernelError> =>
  Effect.try({
    try: () =>
      new Map(
        decodeListing(listed).nftables.flatMap(({ set }) =>
          (set?.elem ?? []).map(
            ({ elem: { val, counter } }) =>
              [`${prefixes[set?.name ?? ""] ?? ""}${val}`, counter.packets] as const
          )
        )
      ),
    catch: (error) => new KernelError({ message: `nft -j list table: ${String(error)}` })
  })
