/** Who this node is, for the life of its data directory: written once, before anything else. */
import { randomBytes } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { readIfThere, writeDurably } from "#actors/drivers/machine/files.ts"
import { Fresh } from "#runtime/ids.ts"
import { wordsOf } from "#runtime/words-of.ts"

const IdentityFile = Schema.Struct({
  format: Schema.Literal(1),
  nodeId: Schema.String,
  clusterId: Schema.String,
  created: Schema.String
})
type IdentityFile = typeof IdentityFile.Type

/** What a node and its cluster are called by. */
export type Identity = Pick<IdentityFile, "nodeId" | "clusterId">

export class IdentityError extends Schema.TaggedError<IdentityError>()("IdentityError", {
  message: Schema.String
}) {}

/** A source seeded by the machine's own; for ids, not for secrets. */
export function freshFromMachine(): Fresh {
  const seed = randomBytes(16)
  return new Fresh([seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8), seed.readUInt32LE(12)])
}

/** Under the data directory. */
export const identityFile = "identity.json"
const fileIn = (dataDir: string): string => join(dataDir, identityFile)

const textOf = (identity: IdentityFile): string => `${JSON.stringify(identity, null, 2)}\n`

/** The text of `identityFile`. `now` is RFC 3339. */
export const identityText = ({ nodeId, clusterId }: Identity, now: string): string =>
  textOf({ format: 1, nodeId, clusterId, created: now })

const attempt = <A>(dataDir: string, run: () => A): Effect.Effect<A, IdentityError> =>
  Effect.try({
    try: run,
    catch: (cause) =>
      new IdentityError({
        message: `Cannot open the identity in ${dataDir}: ${wordsOf(cause)}`
      })
  })

function write(dataDir: string, identity: IdentityFile): Identity {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  writeDurably(fileIn(dataDir), textOf(identity))
  return identity
}

/** Reads `<data dir>/identity.json`, or makes it: a new node of a new cluster. `now` is RFC 3339. */
export const openIdentity = (dataDir: string, now: string): Effect.Effect<Identity, IdentityError> =>
  attempt(dataDir, () => {
    const known = readIfThere(fileIn(dataDir))
    if (known !== undefined) return Schema.decodeUnknownSync(IdentityFile)(JSON.parse(known))
    const fresh = freshFromMachine()
    return write(dataDir, { format: 1, nodeId: fresh.id(), clusterId: fresh.id(), created: now })
  })

/** Who a cluster has said that this node is. */
export const writeIdentity = (
  dataDir: string,
  { nodeId, clusterId }: Identity,
  now: string
): Effect.Effect<Identity, IdentityError> =>
  attempt(dataDir, () => write(dataDir, { format: 1, nodeId, clusterId, created: now }))
