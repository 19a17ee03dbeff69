/** What this machine's kernel would do with a published port's packets: passes them on or not, and from where. */
import { readFileSync } from "node:fs"

export interface Ways {
  /** Whether packets of the family are passed on to other devices. */
  readonly ip: boolean
  readonly ip6: boolean
  /** Whether a client that speaks to a task that is gone can be given another. */
  readonly udp: boolean
  /** Whether a packet is dropped that comes from where its sender would not be answered. */
  readonly isStrict: boolean
}

/** A setting that this kernel does not have is off. */
function setting(name: string): string {
  try {
    return readFileSync(`/proc/sys/net/${name}`, "utf8").trim()
  } catch {
    return "0"
  }
}

export const waysOf = (udp: boolean): Ways => ({
  ip: setting("ipv4/ip_forward") === "1",
  ip6: setting("ipv6/conf/all/forwarding") === "1",
  udp,
  isStrict: ["all", "default"].some((device) => setting(`ipv4/conf/${device}/rp_filter`) === "1")
})
