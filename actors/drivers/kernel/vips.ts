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

/** The addresses that stand for services on this network. */
export const vipsOf = ({ services }: OverlayTable): ReadonlyArray<string> =>
  services.flatMap(({ vips }) => vips)

interface Kind {
  readonly family: 4 | 6
  /** As rules call it. */
  readonly ip: "ip" | "ip6"
  /** Behind the names of all that is for this family alone. */
  readonly suffix: string
}

const kinds: ReadonlyArray<Kind> = [
  { family: 4, ip: "ip", suffix: "" },
  { family: 6, ip: "ip6", suffix: "6" }
]

const elements = (values: ReadonlyArray<string>): string =>
  values.length === 0 ? "" : ` elements = { ${values.join(", ")} };`

/** Whoever calls where somebody is about to serve is not answered for a while: a client calls again until it is. */
const holdSeconds = 10
/** For longer than a client calls again. */
const knownSeconds = 300

/** Of clients that are held: who called whom. */
const callerOf = (ip: string): string => `${ip} saddr . tcp sport . ${ip} daddr . tcp dport`
const callers = (type: string, seconds: number): string =>
  `type ${type} . inet_service . ${type} . inet_service; size 65535; flags dynamic, timeout; timeout ${seconds}s;`

interface Part {
  readonly sets: string
  readonly chains: ReadonlyArray<string>
  readonly hold: string
  readonly arriving: string
  readonly leaving: string
  readonly nobody: string
  /** What is added once the chains are there. */
  readonly doors: string
}

/** The whole table; `undefined` where no address stands for anything, and the table is to go. */
export function vipRules(tables: ReadonlyArray<OverlayTable>, nodeId: string): string | undefined {
  const name = vipTable(nodeId)
  const services = tables.flatMap((table) => table.services)
  const parts = kinds.flatMap((kind) => partOf(kind, services, name) ?? [])
  if (parts.length === 0) return undefined
  const each = (what: (part: Part) => string): string => parts.map(what).join("\n")
  return `table inet ${name} {
${each(({ sets }) => sets)}
${parts.flatMap(({ chains }) => chains).join("\n")}
  chain arriving { type nat hook prerouting priority dstnat - 5; ${parts.map(({ arriving }) => arriving).join("; ")}; }
  chain leaving { type nat hook postrouting priority srcnat - 5; ${parts.map(({ leaving }) => leaving).join("; ")}; }
${each(({ hold }) => hold)}
  chain nobody {
    type filter hook input priority filter - 5;
${each(({ nobody }) => nobody)}
  }
}
${parts.map(({ doors }) => doors).join("")}`
}

/** What is for one family; nothing where no service has an address of it. */
function partOf(
  { family, ip, suffix }: Kind,
  services: ReadonlyArray<ServiceRow>,
  name: string
): Part | undefined {
  const ofFamily = (addresses: ReadonlyArray<string>): ReadonlyArray<string> =>
    addresses.filter((address) => parseAddress(address)?.family === family)
  const vips = services.flatMap((service) => ofFamily(service.vips))
  if (vips.length === 0) return undefined
  const chains: Array<string> = []
  const doors: Array<string> = []
  const owners = new Set<string>()
  const expecting: Array<string> = []
  for (const service of services) {
    const serving = service.tasks.filter((task) => task.serving)
    const backends = serving.flatMap(({ addresses }) => ofFamily(addresses).slice(0, 1))
    if (backends.length === 0) {
      if (service.tasks.length > 0) expecting.push(...ofFamily(service.vips))
      continue
    }
    for (const vip of ofFamily(service.vips)) {
      const chain = `to${suffix}_${vip.replaceAll(/[.:]/g, "_")}`
      // Not in turn: a packet that crosses a bridge is counted twice.
      const choices = backends.map((address, at) => `${at} : ${address}`).join(", ")
      chains.push(
        `  chain ${chain} { dnat ${ip} to numgen random mod ${backends.length} map { ${choices} }; }`
      )
      doors.push(`${vip} : goto ${chain}`)
    }
    for (const address of backends) owners.add(`${address} . ${address}`)
  }
  const type = `ipv${family}_addr`
  const caller = callerOf(ip)
  return {
    sets: `  set vips${suffix} { type ${type};${elements(vips)} }
  set expecting${suffix} { type ${type};${elements(expecting)} }
  set held${suffix} { ${callers(type, holdSeconds)} }
  set known${suffix} { ${callers(type, knownSeconds)} }
  set themselves${suffix} { type ${type} . ${type};${elements([...owners])} }
  map services${suffix} { type ${type} : verdict; }`,
    chains,
    arriving: `meta l4proto { tcp, udp } ${ip} daddr vmap @services${suffix}`,
    leaving: `ct status dnat ${ip} saddr . ${ip} daddr @themselves${suffix} masquerade`,
    hold: `  chain hold${suffix} {
    ${caller} @held${suffix} drop
    ${caller} @known${suffix} return
    add @known${suffix} { ${caller} }
    add @held${suffix} { ${caller} } drop
  }`,
    nobody: `    ${ip} daddr @expecting${suffix} tcp flags & (syn | ack) == syn jump hold${suffix}
    ${ip} daddr @vips${suffix} meta l4proto tcp reject with tcp reset;
    ${ip} daddr @vips${suffix} meta l4proto udp reject;`,
    doors: doors.length === 0 ? "" : `add element inet ${name} services${suffix} { ${doors.join(", ")} }\n`
  }
}
