import { expect, test } from "bun:test"
import { namesTable } from "#actors/drivers/kernel/names.ts"
import { replacing } from "#actors/drivers/kernel/nft-text.ts"
import { gatewaysOf, rulesFor } from "#actors/drivers/names/redirect.ts"
import type { OverlayTable } from "#actors/network/table.ts"

test("port 53 of the node's addresses on overlays, of both families, leads to where names are answered", () => {
  const tables = [
    { subnets: [{ subnet: "10.0.2.0/24", gateway: "10.0.2.9" }] },
    {
      subnets: [
        { subnet: "10.0.1.0/24", gateway: "10.0.1.9" },
        { subnet: "fd00::/64", gateway: "fd00::9" }
      ]
    }
  ] as unknown as ReadonlyArray<OverlayTable>
  expect(replacing(namesTable("n1"), rulesFor("n1", gatewaysOf(tables)))).toBe(`table inet troupe_names_n1
delete table inet troupe_names_n1
table inet troupe_names_n1 {
  chain prerouting {
    type nat hook prerouting priority -101; policy accept;
    ip daddr { 10.0.1.9, 10.0.2.9 } udp dport 53 redirect to :4553
    ip daddr { 10.0.1.9, 10.0.2.9 } tcp dport 53 redirect to :4553
    ip6 daddr { fd00::9 } udp dport 53 redirect to :4553
    ip6 daddr { fd00::9 } tcp dport 53 redirect to :4553
  }
}
`)
})

test("without overlays nothing of it is left", () => {
  expect(replacing(namesTable("n1"), rulesFor("n1", []))).toBe(
    "table inet troupe_names_n1\ndelete table inet troupe_names_n1\n"
  )
})
