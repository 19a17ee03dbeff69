/** Snapshots of format 1: JSON, one object a line. Earlier releases wrote them; this one only reads them. */
import { Buffer } from "node:buffer"
import type { Kind, Tables } from "#actors/ledger/reader.ts"
import type { Recent, SavedProposer } from "#actors/ledger/recent.ts"
import { kinds, LedgerTables } from "#actors/ledger/tables.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import { BrokenInvariant } from "#runtime/assert.ts"

type Line =
  | { readonly t: "head"; readonly format: number; readonly index: number; readonly time: number }
  | { readonly t: "cluster"; readonly o: Cluster }
  | { readonly t: "spec"; readonly o: readonly [string, number, TaskSpec] }
  | { readonly t: "recent"; readonly o: ReadonlyArray<SavedProposer> }
  | { readonly t: Kind; readonly o: Tables[Kind] }

const openingBrace = 0x7b

export const isLines = (start: Uint8Array): boolean => start[0] === openingBrace

/** The state that a snapshot holds, and into `recent` the results it kept. Throws, and changes nothing, when it is bad. */
export function decodeLines(chunks: Iterable<Uint8Array>, recent: Recent): LedgerTables {
  const tables = new LedgerTables()
  let saved: ReadonlyArray<SavedProposer> = []
  for (const text of linesOf(chunks)) {
    const line = JSON.parse(text) as Line
    switch (line.t) {
      case "head":
        if (line.format !== 1) {
          throw new BrokenInvariant(`The snapshot is lines of format ${line.format}, this release reads 1`)
        }
        tables.index = line.index
        tables.time = line.time
        break
      case "recent":
        saved = line.o
        break
      case "cluster":
        tables.setCluster(line.o, true)
        break
      case "spec":
        tables.keepSpec(...line.o)
        break
      default:
        if (!kinds.includes(line.t)) throw new BrokenInvariant(`The snapshot holds a line of type ${line.t}`)
        tables.put(line.t, line.o, true)
    }
  }
  recent.load(saved)
  return tables
}

function* linesOf(chunks: Iterable<Uint8Array>): IterableIterator<string> {
  let rest: Buffer = Buffer.alloc(0)
  for (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.toString("utf8", 0, end)
      rest = rest.subarray(end + 1)
    }
  }
  if (rest.length > 0) throw new BrokenInvariant("The snapshot ends in the middle of a line")
}
