/**
 * Virtual addresses, as an nftables table: whoever connects to one from a node's containers gets one of the service's
 * tasks, on whatever node. The whole table is replaced at once; connections under way are the kernel's and stay.
 *
 * The address itself is on the overlay's bridge on every node, so that it is asked for and answered on the spot. Packets
 * cross the bridge through the kernel's address translation (`nf_call_iptables`), and ports take back what they sent
 * (`hairpin`), for a task that gets itself: it sees its node's address, everybody else the client's own.
 */
import { vipTable } from "#actors/drivers/kernel/names.ts"
import { parseAddress } from "#actors/network/ip.ts"
import type { OverlayTable, ServiceRow } from "#actors/network/table.ts"

const isIpv4 = (address: string): boolean => parseAddress(address)?.family === 4

/** The IPv4 addresses that stand for services on this network. */
export const vipsOf = ({ services }: OverlayTable): ReadonlyArray<string> =>
  services.flatMap(({ vips }) => vips.filter(isIpv4))

const backendsOf = ({ tasks }: ServiceRow): ReadonlyArray<string> =>
  tasks.filter(({ serving }) => serving).flatMap(({ addresses }) => addresses.filter(isIpv4).slice(0, 1))

const elements = (values: ReadonlyArray<string>): string =>
  values.length === 0 ? "" : ` elements = { ${values.join(", ")} };`

/** Whoever calls where somebody is about to serve is not answered for a while: a client calls again until it is. */
const holdSeconds = 10
/** For longer than a client calls again. */
const knownSeconds = 300

/** Of clients that are held: who called whom. */
const caller = "ip saddr . tcp sport . ip daddr . tcp dport"
const callers = (seconds: number): string =>
  `type ipv4_addr . inet_service . ipv4_addr . inet_service; size 65535; flags dynamic, timeout; timeout ${seconds}s;`

/** The whole table; `undefined` where no address stands for anything, and the table is to go. */
export function vipRules(tables: ReadonlyArray<OverlayTable>, nodeId: string): string | undefined {
  const name = vipTable(nodeId)
  const vips = tables.flatMap(vipsOf)
  if (vips.length === 0) return undefined
  const chains: Array<string> = []
  const doors: Array<string> = []
  const owners = new Set<string>()
  const expecting: Array<string> = []
  for (const service of tables.flatMap(({ services }) => services)) {
    const backends = backendsOf(service)
    if (backends.length === 0) {
      if (service.tasks.length > 0) expecting.push(...service.vips.filter(isIpv4))
      continue
    }
    for (const vip of service.vips.filter(isIpv4)) {
      const chain = `to_${vip.replaceAll(".", "_")}`
      // Not in turn: a packet that crosses a bridge is counted twice.
      const choices = backends.map((address, at) => `${at} : ${address}`).join(", ")
      chains.push(`  chain ${chain} { dnat ip to numgen random mod ${backends.length} map { ${choices} }; }`)
      doors.push(`${vip} : goto ${chain}`)
    }
    for (const address of backends) owners.add(`${address} . ${address}`)
  }
  return `table inet ${name} {
  set vips { type ipv4_addr;${elements(vips)} }
  set expecting { type ipv4_addr;${elements(expecting)} }
  set held { ${callers(holdSeconds)} }
  set known { ${callers(knownSeconds)} }
  set themselves { type ipv4_addr . ipv4_addr;${elements([...owners])} }
  map services { type ipv4_addr : verdict; }
${chains.join("\n")}
  chain arriving { type nat hook prerouting priority dstnat - 5; meta l4proto { tcp, udp } ip daddr vmap @services; }
  chain leaving { type nat hook postrouting priority srcnat - 5; ct status dnat ip saddr . ip daddr @themselves masquerade; }
  chain hold {
    ${caller} @held drop
    ${caller} @known return
    add @known { ${caller} }
    add @held { ${caller} } drop
  }
  chain nobody {
    type filter hook input priority filter - 5;
    ip daddr @expecting tcp flags & (syn | ack) == syn jump hold
    ip daddr @vips meta l4proto tcp reject with tcp reset;
    ip daddr @vips meta l4proto udp reject;
  }
}
${doors.length === 0 ? "" : `add element inet ${name} services { ${doors.join(", ")} }\n`}`
}
