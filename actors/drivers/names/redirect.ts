/**
 * Leads port 53 of the node's address on each overlay to where names are answered: a table of our own for nftables, which
 * is put back whenever it is not as it was written.
 */
import { Effect } from "effect"
import { type KernelError, run } from "#actors/drivers/kernel/run.ts"
import { namesPort } from "#actors/network/names/port.ts"
import type { OverlayTable } from "#actors/network/table.ts"

/** Of this node alone: there may be others on the machine. */
const tableOf = (nodeId: string): string => `inet troupe_names_${nodeId.slice(0, 10)}`

/** What `nft` is told; without gateways, that the table is to go. */
export function rulesFor(nodeId: string, gateways: ReadonlyArray<string>): string {
  const table = tableOf(nodeId)
  // Adding it first makes deleting it right in any case; all of it happens at once.
  const gone = `table ${table}\ndelete table ${table}\n`
  const rules = (["ip", "ip6"] as const).flatMap((family) => {
    const own = gateways.filter((gateway) => gateway.includes(":") === (family === "ip6"))
    if (own.length === 0) return []
    return ["udp", "tcp"].map(
      (protocol) =>
        `    ${family} daddr { ${own.join(", ")} } ${protocol} dport 53 redirect to :${namesPort}\n`
    )
  })
  if (rules.length === 0) return gone
  // Before Docker's own, in which somebody may publish port 53.
  const hook = "type nat hook prerouting priority -101; policy accept;"
  return `${gone}table ${table} {\n  chain prerouting {\n    ${hook}\n${rules.join("")}  }\n}\n`
}

export const gatewaysOf = (tables: ReadonlyArray<OverlayTable>): ReadonlyArray<string> =>
  tables.flatMap(({ subnets }) => subnets.map(({ gateway }) => gateway)).sort()

/** Remembers how the kernel shows what was written, so that a look tells whether somebody has changed it. */
export class Redirect {
  readonly #nodeId: string
  #written: string | undefined
  #shown = ""

  constructor(nodeId: string) {
    this.#nodeId = nodeId
  }

  readonly lead = Effect.fnUntraced(function* (this: Redirect, tables: ReadonlyArray<OverlayTable>) {
    const listing = list(tableOf(this.#nodeId))
    const rules = rulesFor(this.#nodeId, gatewaysOf(tables))
    if (this.#written === rules && (yield* listing) === this.#shown) return
    yield* run("nft", ["-f", "-"], rules)
    this.#shown = yield* listing
    this.#written = rules
  })
}

/** A table that is not there is shown as nothing. */
const list = (table: string): Effect.Effect<string, KernelError> =>
  run("nft", ["list", "tables"], "").pipe(
    Effect.flatMap((tables) =>
      tables.split("\n").includes(`table ${table}`)
        ? run("nft", ["-s", "list", "table", ...table.split(" ")], "")
        : Effect.succeed("")
    )
  )
