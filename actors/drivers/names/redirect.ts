/** Leads port 53 of the node's address on each overlay to where names are answered: a table of our own for nftables. */
import { namesTable } from "#actors/drivers/kernel/names.ts"
import { families, oneOf } from "#actors/drivers/kernel/nft-text.ts"
import { namesPort } from "#actors/network/names/port.ts"
import type { OverlayTable } from "#actors/network/table.ts"

/** The whole table; `undefined` without gateways, and the table is to go. */
export function rulesFor(nodeId: string, gateways: ReadonlyArray<string>): string | undefined {
  const rules = families(gateways).flatMap(([family, own]) =>
    ["udp", "tcp"].map(
      (protocol) => `    ${family} daddr ${oneOf(own)} ${protocol} dport 53 redirect to :${namesPort}\n`
    )
  )
  if (rules.length === 0) return undefined
  // Before Docker's own, in which somebody may publish port 53.
  const hook = "type nat hook prerouting priority -101; policy accept;"
  return `table inet ${namesTable(nodeId)} {\n  chain prerouting {\n    ${hook}\n${rules.join("")}  }\n}\n`
}

export const gatewaysOf = (tables: ReadonlyArray<OverlayTable>): ReadonlyArray<string> =>
  tables.flatMap(({ subnets }) => subnets.map(({ gateway }) => gateway))
