/**
 * How many connections the kernel leads to tasks, by published port and by virtual address. They are counted in a table of
 * its own, whose text is always the same: the tables that lead are written again and again as tasks come and go, and what
 * is counted in a table goes with it. Only a connection's first packet comes by there, so others cost nothing.
 */
import { Effect, Schema } from "effect"
import { ingressMark } from "#actors/drivers/kernel/ingress.ts"
import { countTable } from "#actors/drivers/kernel/names.ts"
import { KernelError } from "#actors/drivers/kernel/run.ts"
import type { Endpoint, Led, PortEndpoint } from "#actors/drivers/led.ts"
import { keyOfPort } from "#actors/network/plan.ts"
import type { OverlayTable } from "#actors/network/table.ts"

/** Nobody asks any more: it makes room, and reading takes no longer than what is in use. Then its counter begins anew. */
const keptFor = "10m"

/**
 * What was led has another target by now: virtual addresses to an overlay, and ports by their mark. What the Engine led has
 * no mark, and may go to an overlay, too: it is told from virtual addresses by the address that was asked for. Of whoever
 * else leads connections here, nobody asks for the ports.
 */
export const countRules = (nodeId: string): string => `table inet ${countTable(nodeId)} {
${[
  ["tcp_ports", "inet_service"],
  ["udp_ports", "inet_service"],
  ["tcp_host", "ipv4_addr . inet_service"],
  ["udp_host", "ipv4_addr . inet_service"],
  ["tcp_host6", "ipv6_addr . inet_service"],
  ["udp_host6", "ipv6_addr . inet_service"],
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
    meta nfproto ipv4 meta l4proto tcp update @tcp_host { ct original ip daddr . ct original proto-dst counter }
    meta nfproto ipv4 meta l4proto udp update @udp_host { ct original ip daddr . ct original proto-dst counter }
    meta nfproto ipv6 meta l4proto tcp update @tcp_host6 { ct original ip6 daddr . ct original proto-dst counter }
    meta nfproto ipv6 meta l4proto udp update @udp_host6 { ct original ip6 daddr . ct original proto-dst counter }
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
                  val: Schema.Union([
                    Schema.String,
                    Schema.Number,
                    Schema.Struct({ concat: Schema.Tuple([Schema.String, Schema.Number]) })
                  ]),
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

/** The counter of a port in host mode. */
export const hostCounter = ({ protocol, publishedPort }: PortEndpoint): string =>
  `host ${keyOfPort({ protocol, publishedPort })}`

const prefixes: Readonly<Record<string, string>> = {
  tcp_ports: "tcp/",
  udp_ports: "udp/",
  tcp_host: "host tcp/",
  udp_host: "host udp/",
  tcp_host6: "host tcp/",
  udp_host6: "host udp/"
}

/**
 * By key of a port and by address, out of what `nft -j` lists of the table. A port in host mode is asked for at any address
 * of the machine, of which those in `virtual` are none.
 */
export const parseCounts = (
  listed: string,
  virtual: { readonly has: (address: string) => boolean } = new Set()
): Effect.Effect<Led["counts"], KernelError> =>
  Effect.try({
    try: () => {
      const counts = new Map<string, number>()
      for (const { set } of decodeListing(listed).nftables) {
        for (const { elem } of set?.elem ?? []) {
          const { val, counter } = elem
          const [address, value] = typeof val === "object" ? val.concat : ["", val]
          if (virtual.has(address)) continue
          const key = `${prefixes[set?.name ?? ""] ?? ""}${value}`
          counts.set(key, (counts.get(key) ?? 0) + counter.packets)
        }
      }
      return counts
    },
    catch: (error) => new KernelError({ message: `nft -j list table: ${String(error)}` })
  })
