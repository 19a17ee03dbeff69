/** The lab's network: a bridge, and a link from it into each machine's namespace, which may be cut. */
import { readFileSync } from "node:fs"
import { bridge, type Machine, namespaceOf, subnet } from "#test/lab/machines.ts"
import { quietly, sh } from "#test/lab/processes.ts"

const linkOf = namespaceOf

/** The bridge, and a namespace at it. What is there already, also from a start that was broken off, is used. */
export function connect({ name, address }: Machine): void {
  const namespace = namespaceOf(name)
  quietly("ip", "link", "add", bridge, "type", "bridge")
  quietly("ip", "addr", "add", `${subnet}.1/24`, "dev", bridge)
  sh("ip", "link", "set", bridge, "up")
  // Bridged frames must not meet the host's own iptables, or the machines cannot reach each other.
  quietly("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
  quietly("ip", "netns", "add", namespace)
  if (!quietly("ip", "link", "show", linkOf(name)))
    sh("ip", "link", "add", linkOf(name), "type", "veth", "peer", "name", "eth0", "netns", namespace)
  sh("ip", "link", "set", linkOf(name), "master", bridge, "up")
  quietly("ip", "-n", namespace, "addr", "add", `${address}/24`, "dev", "eth0")
  sh("ip", "-n", namespace, "link", "set", "eth0", "up")
  sh("ip", "-n", namespace, "link", "set", "lo", "up")
  quietly("ip", "-n", namespace, "route", "add", "default", "via", `${subnet}.1`)
}

export const cut = ({ name }: Machine): void => void sh("ip", "link", "set", linkOf(name), "down")
export const heal = ({ name }: Machine): void => void sh("ip", "link", "set", linkOf(name), "up")

/** What `machine` no longer hears and no longer says, by the other's address; nothing at all where both are empty. */
export function block(
  { name }: Machine,
  { from = [], to = [] }: { readonly from?: ReadonlyArray<Machine>; readonly to?: ReadonlyArray<Machine> }
): void {
  const rules = [
    "add table inet lab",
    "delete table inet lab",
    "add table inet lab",
    "add chain inet lab in { type filter hook input priority -300; }",
    "add chain inet lab out { type filter hook output priority -300; }",
    ...from.map(({ address }) => `add rule inet lab in ip saddr ${address} drop`),
    ...to.map(({ address }) => `add rule inet lab out ip daddr ${address} drop`)
  ]
  sh("nsenter", `--net=/run/netns/${namespaceOf(name)}`, "nft", rules.join("; "))
}

/** Whether its link is up; false, too, where it has none (any more). */
export function isConnected({ name }: Machine): boolean {
  try {
    return readFileSync(`/sys/class/net/${linkOf(name)}/operstate`, "utf8").trim() === "up"
  } catch {
    return false
  }
}

/** Removes the namespace and with it the link. */
export function disconnect({ name }: Machine): void {
  quietly("ip", "netns", "del", namespaceOf(name))
  quietly("ip", "link", "del", linkOf(name))
}

export const removeBridge = (): void => void quietly("ip", "link", "del", bridge)
