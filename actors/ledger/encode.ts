/** Entries as bytes: JSON, so that a person can read what the log holds once it is decrypted. */
import { Buffer } from "node:buffer"
import type { Entry } from "#actors/ledger/commands.ts"
import { BrokenInvariant } from "#runtime/assert.ts"

/** Every command this member understands, with the newest version of each. */
const understood: Readonly<Record<Entry["command"]["type"], number>> = {
  "cluster.create": 1,
  "cluster.update": 1,
  "cluster.trust": 1,
  "cluster.refound": 1,
  "cluster.raise": 1,
  "cluster.rotate": 1,
  "cluster.rotated": 1,
  "cluster.routes": 1,
  "cluster.keys": 1,
  "cluster.alerts": 1,
  "ledger.digest": 1,
  "node.register": 1,
  "node.update": 1,
  "node.observe": 1,
  "node.gateways": 1,
  "node.attach": 1,
  "node.detach": 1,
  "node.access": 1,
  "node.remove": 1,
  "service.create": 1,
  "service.update": 1,
  "service.scale": 1,
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
  "config.remove": 1,
  "volume.create": 1,
  "volume.update": 1,
  "volume.observe": 1,
  "volume.remove": 1
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
