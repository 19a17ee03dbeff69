/** Who this node is, for the life of its data directory: written once, before anything else. */

import { randomBytes } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { readIfThere, writeDurably } from "#actors/drivers/machine/files.ts"
import { Fresh } from "#runtime/ids.ts"

const Identity = Schema.Struct({
  format: Schema.Literal(1),
  nodeId: Schema.String,
  clusterId: Schema.String,
  created: Schema.String
})
export type Identity = typeof Identity.Type

export class IdentityError extends Schema.TaggedError<IdentityError>()("IdentityError", {
  message: Schema.String
}) {}

/** A source seeded by the machine's own; for ids, not for secrets. */
export function freshFromMachine(): Fresh {
  const seed = randomBytes(16)
  return new Fresh([seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8), seed.readUInt32LE(12)])
}

/** Reads `<data dir>/identity.json`, or makes it: a new node of a new cluster. */
export const openIdentity = (dataDir: string, now: string): Effect.Effect<Identity, IdentityError> =>
  Effect.try({
    try: () => {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 })
      const path = join(dataDir, "identity.json")
      const known = readIfThere(path)
      if (known !== undefined) return Schema.decodeUnknownSync(Identity)(JSON.parse(known))
      const fresh = freshFromMachine()
      const identity: Identity = { format: 1, nodeId: fresh.id(), clusterId: fresh.id(), created: now }
      writeDurably(path, `${JSON.stringify(identity, null, 2)}\n`)
      return identity
    },
    catch: (cause) =>
      new IdentityError({
        message: `Cannot open the identity in ${dataDir}: ${cause instanceof Error ? cause.message : cause}`
      })
  })
