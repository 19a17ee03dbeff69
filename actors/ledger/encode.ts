/**
 * Entries and snapshots as bytes: JSON, one object a line, so that a person can read what the disk holds once it
 * is decrypted. A snapshot is streamed; it is never one string.
 */
import { Buffer } from "node:buffer"
import type { Entry } from "#actors/ledger/commands.ts"
import type { Kind, Tables } from "#actors/ledger/reader.ts"
import type { Recent } from "#actors/ledger/recent.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import { BrokenInvariant } from "#runtime/assert.ts"

/** Raised when the meaning of what is kept changes; an unknown one halts the member. */
const snapshotFormat = 1

/** Every command this member understands, with the newest version of each. */
const understood: Readonly<Record<Entry["command"]["type"], number>> = {
  "cluster.create": 1,
  "cluster.update": 1,
  "cluster.trust": 1,
  "node.register": 1,
  "node.update": 1,
  "node.observe": 1,
  "node.remove": 1,
  "service.create": 1,
  "service.update": 1,
  "service.progress": 1,
  "service.allot": 1,
  "service.remove": 1,
  "tasks.change": 1,
  "tasks.report": 1,
  "network.create": 1,
  "network.allot": 1,
  "network.remove": 1,
  "secret.create": 1,
  "secret.update": 1,
  "secret.remove": 1,
  "config.create": 1,
  "config.update": 1,
  "config.remove": 1
}

export const encodeEntry = (entry: Entry): Uint8Array => Buffer.from(JSON.stringify(entry))

/**
 * An entry as it was proposed. The log authenticates its bytes, so the shape is trusted; its type and version
 * are not, because a newer member may have written it.
 */
export function decodeEntry(data: Uint8Array): Entry {
  const entry = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()) as Entry
  const { type, v } = entry.command
  if (understood[type] !== v) {
    throw new BrokenInvariant(
      `The log holds an entry of type ${type} version ${v}, which this release does not understand: run a newer one`
    )
  }
  return entry
}

type Line =
  | { readonly t: "head"; readonly format: number; readonly index: number; readonly time: number }
  | { readonly t: "cluster"; readonly o: Cluster }
  | { readonly t: "spec"; readonly o: readonly [string, number, TaskSpec] }
  | { readonly t: "recent"; readonly o: ReturnType<Recent["save"]> }
  | { readonly t: Kind; readonly o: Tables[Kind] }

/** Services before tasks, so that a task finds its spec version when it is put back. */
const kinds: ReadonlyArray<Kind> = ["node", "network", "secret", "config", "service", "task"]
const chunkBytes = 64 * 1024

/** The state as of now in chunks of about 64 KiB; what is applied while they are taken does not show. */
export function encodeSnapshot(tables: LedgerTables, recent: Recent): Iterable<Uint8Array> {
  const frozen = tables.freeze()
  const head: Line = { t: "head", format: snapshotFormat, index: tables.index, time: tables.time }
  const saved: Line = { t: "recent", o: recent.save() }
  function* lines(): IterableIterator<Line> {
    yield head
    yield saved
    if (frozen.cluster !== undefined) yield { t: "cluster", o: frozen.cluster }
    for (const spec of frozen.specs) yield { t: "spec", o: spec }
    for (const kind of kinds) for (const object of frozen.tables[kind]) yield { t: kind, o: object }
  }
  return {
    *[Symbol.iterator]() {
      let text = ""
      for (const line of lines()) {
        text += `${JSON.stringify(line)}\n`
        if (text.length >= chunkBytes) {
          yield Buffer.from(text)
          text = ""
        }
      }
      if (text !== "") yield Buffer.from(text)
    }
  }
}

/** The state that a snapshot holds; throws when its format is not ours. */
export function decodeSnapshot(chunks: Iterable<Uint8Array>, recent: Recent): LedgerTables {
  const tables = new LedgerTables()
  for (const text of linesOf(chunks)) {
    const line = JSON.parse(text) as Line
    switch (line.t) {
      case "head":
        if (line.format !== snapshotFormat) {
          throw new BrokenInvariant(
            `The snapshot has format ${line.format}, this release reads ${snapshotFormat}`
          )
        }
        tables.index = line.index
        tables.time = line.time
        break
      case "recent":
        recent.load(line.o)
        break
      case "cluster":
        tables.setCluster(line.o)
        break
      case "spec":
        tables.keepSpec(...line.o)
        break
      default:
        tables.put(line.t, line.o)
    }
  }
  tables.takeChanges()
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
