import { expect, test } from "bun:test"
import { describe as rulesFor } from "#actors/drivers/firewall/describe.ts"
import { firewallTable } from "#actors/drivers/kernel/names.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const facts = { nodeId: "n1", controlPorts: [2377, 4222] }
const overlay = (networkId: string, vni: number, own: ReadonlyArray<string>): OverlayTable =>
  overlayTable({
    networkId,
    name: networkId,
    vni,
    subnets: own.map((gateway) => ({ subnet: `${gateway}/24`, gateway })),
    peers: [
      { nodeId: "n2", dataPath: "192.168.0.2", gateways: [] },
      { nodeId: "n3", dataPath: "192.168.0.3", gateways: [] }
    ]
  })
const [front, back] = [overlay("front", 4097, ["10.0.1.3"]), overlay("back", 4098, ["10.0.2.3", "fd00::3"])]

test("two overlays are kept apart, from control ports, and from VXLAN packets of anybody but members", () => {
  expect(rulesFor([front, back], facts)).toBe(`table inet troupe_n1 {
  chain input {
    type filter hook input priority -10; policy accept;
    udp dport 4789 @th,96,24 4097 ip saddr != { 192.168.0.2, 192.168.0.3 } counter drop
    meta nfproto ipv6 udp dport 4789 @th,96,24 4097 counter drop
    udp dport 4789 @th,96,24 4098 ip saddr != { 192.168.0.2, 192.168.0.3 } counter drop
    meta nfproto ipv6 udp dport 4789 @th,96,24 4098 counter drop
    iifname "br-t*" tcp dport { 2377, 4222 } counter drop
    iifname "br-t*" iifname != "br-tfront" ip daddr { 10.0.1.3 } counter drop
    iifname "br-t*" iifname != "br-tback" ip daddr { 10.0.2.3 } counter drop
    iifname "br-t*" iifname != "br-tback" ip6 daddr { fd00::3 } counter drop
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname "br-tfront" oifname "br-t*" oifname != "br-tfront" counter drop
    iifname "br-tback" oifname "br-t*" oifname != "br-tback" counter drop
    iifname "br-t*" ip daddr { 192.168.0.2, 192.168.0.3 } tcp dport { 2377, 4222 } counter drop
  }
}
`)
})

test("a network that no other node is on takes no VXLAN packet at all", () => {
  const alone = rulesFor([{ ...front, peers: [] }], facts)
  expect(alone).toContain("    meta nfproto ipv4 udp dport 4789 @th,96,24 4097 counter drop\n")
  expect(alone).toContain("    meta nfproto ipv6 udp dport 4789 @th,96,24 4097 counter drop\n")
})

test("a peer on this very machine is no source of VXLAN packets", () => {
  const twin = { nodeId: "n4", dataPath: "192.168.0.1", gateways: [] }
  const rules = rulesFor([{ ...front, peers: [...front.peers, twin] }], facts)
  expect(rules).toContain("4097 ip saddr != { 192.168.0.2, 192.168.0.3 } counter")
})

test("without overlays there is no table, and without control ports no rule about them", () => {
  expect(rulesFor([], facts)).toBeUndefined()
  expect(rulesFor([front], { ...facts, controlPorts: [] })).not.toContain("tcp dport")
})

test("each node of a machine has a table of its own, with a name that nftables takes", () => {
  expect(firewallTable("2kq1ld9w5fk3p0s7xq2m1ab4c")).toBe("troupe_2kq1ld9w5f")
})

test("an encrypted overlay's packets come and go through its tunnels alone, and only members ask for one", () => {
  const rules = rulesFor([{ ...front, encrypted: true }, back], facts, [51820, 51821]) ?? ""
  const tunnels = '{ "wg0-tn1", "wg1-tn1" }'
  expect(rules).toContain(`    udp dport 4789 @th,96,24 4097 iifname != ${tunnels} counter drop\n`)
  expect(rules).toContain(`  chain output {
    type filter hook output priority -10; policy accept;
    udp dport 4789 @th,96,24 4097 oifname != ${tunnels} counter drop
  }`)
  expect(rules).toContain(
    "    udp dport { 51820, 51821 } ip saddr != { 192.168.0.2, 192.168.0.3 } counter drop\n"
  )
  expect(rules).toContain("    meta nfproto ipv6 udp dport { 51820, 51821 } counter drop\n")
  expect(rulesFor([front, back], facts, [51820])).toBe(rulesFor([front, back], facts) as string)
})
