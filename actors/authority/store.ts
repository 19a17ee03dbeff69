/**
 * What a node keeps of its membership, in `<data dir>/trust`, readable by its owner only.
 *
 * One file holds certificate and key together, so that they always fit each other. A founder's roots lie
 * beside it until they are in the ledger, and no longer.
 */
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { sealWith } from "#actors/authority/lock.ts"
import { Membership } from "#actors/authority/protocol.ts"
import { privateDirectory, readIfThere, syncFolder, writeDurably } from "#actors/drivers/machine/files.ts"
import { SwarmSpec } from "#actors/model/spec.ts"
import { Incarnation, ManagerPorts, Roots } from "#actors/model/trust.ts"
import { wordsOf } from "#runtime/words-of.ts"

export class TrustStoreError extends Schema.TaggedError<TrustStoreError>()("TrustStoreError", {
  message: Schema.String
}) {}

/**
 * The managers went on without this one: in which incarnation, and who says so. `removed`: in its own, from which this
 * node was removed.
 */
export const LeftBehind = Schema.Struct({
  incarnation: Incarnation,
  by: Schema.String,
  removed: Schema.optionalKey(Schema.Literal(true))
})
export type LeftBehind = typeof LeftBehind.Type

/** What a cluster that `docker swarm init` began is to be like, until it is in the ledger. */
const Wish = Schema.Struct({
  spec: SwarmSpec,
  addrPool: Schema.Array(Schema.String),
  subnetSize: Schema.Int,
  dataPathPort: Schema.Int,
  availability: Schema.Literals(["active", "pause", "drain"])
})
export type Wish = typeof Wish.Type

const Place = Schema.Struct({
  listenAddr: Schema.String,
  advertiseAddr: Schema.String,
  dataPathAddr: Schema.optionalKey(Schema.String)
})

const Held = Schema.Struct({
  format: Schema.Literal(1),
  origin: Schema.Literals(["founded", "joined"]),
  ports: ManagerPorts,
  membership: Membership,
  /** Of the certificate; PEM, a secret. */
  key: Schema.String,
  leftBehind: Schema.optionalKey(LeftBehind),
  place: Schema.optionalKey(Place),
  wish: Schema.optionalKey(Wish),
  sealedKeys: Schema.optionalKey(Schema.Array(Schema.String))
})

/** `ports` are where it listens as a manager, chosen once. */
export interface Held {
  readonly origin: "founded" | "joined"
  readonly ports: ManagerPorts
  readonly membership: Membership
  readonly key: string
  /** Once there, this node takes part in nothing until it has left. */
  readonly leftBehind?: LeftBehind
  /** Where it was told to listen, and what to tell others, by who made it a member while it ran. */
  readonly place?: typeof Place.Type
  readonly wish?: Wish
  /** `key` as it lies on a locked manager's disk, once for each key that opens it; then `key` is empty. */
  readonly sealedKeys?: ReadonlyArray<string>
  /** The unlock keys that `key` is sealed with when it is written; never written themselves. */
  readonly lock?: ReadonlyArray<string>
}

/** Under the data directory. */
export const trustFiles = { member: "trust/member.json", roots: "trust/roots.json" } as const

const folderIn = (dataDir: string): string => join(dataDir, "trust")
const memberFile = (dataDir: string): string => join(dataDir, trustFiles.member)
const rootsFile = (dataDir: string): string => join(dataDir, trustFiles.roots)

const textOf = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** The text of `trustFiles.member`, and of `trustFiles.roots`. */
export function heldText({ lock = [], ...held }: Held): string {
  // A worker has nothing that is worth a lock, as in Swarm.
  const isLocked = lock.length > 0 && held.membership.role === "manager"
  const sealed = isLocked && { key: "", sealedKeys: lock.map((unlockKey) => sealWith(unlockKey, held.key)) }
  return textOf({ format: 1, ...held, ...sealed })
}
export const rootsText = (roots: Roots): string => textOf(roots)

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, TrustStoreError> =>
  Effect.try({
    try: run,
    // A decoder's message would quote what it found, and that is secret.
    catch: (error) =>
      new TrustStoreError({
        message: `Cannot use ${path}: ${error instanceof SyntaxError || Schema.isSchemaError(error) ? "it is damaged" : wordsOf(error)}`
      })
  })

const read = <A>(
  path: string,
  schema: Schema.Codec<A, unknown>
): Effect.Effect<A | undefined, TrustStoreError> =>
  attempt(path, () => {
    const text = readIfThere(path)
    return text === undefined ? undefined : Schema.decodeUnknownSync(schema)(JSON.parse(text))
  })

const write = (dataDir: string, path: string, text: string): Effect.Effect<void, TrustStoreError> =>
  attempt(path, () => {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    privateDirectory(folderIn(dataDir))
    writeDurably(path, text)
    syncFolder(dataDir)
  })

/** What this node holds; `undefined` when it is no member yet. */
export const readHeld = (dataDir: string): Effect.Effect<Held | undefined, TrustStoreError> =>
  read(memberFile(dataDir), Held)

/** Durable when it completes. */
export const writeHeld = (dataDir: string, held: Held): Effect.Effect<void, TrustStoreError> =>
  write(dataDir, memberFile(dataDir), heldText(held))

export const readRoots = (dataDir: string): Effect.Effect<Roots | undefined, TrustStoreError> =>
  read(rootsFile(dataDir), Roots)

export const writeRoots = (dataDir: string, roots: Roots): Effect.Effect<void, TrustStoreError> =>
  write(dataDir, rootsFile(dataDir), rootsText(roots))

/** The ledger has them now. */
export const dropRoots = (dataDir: string): Effect.Effect<void, TrustStoreError> =>
  attempt(rootsFile(dataDir), () => rmSync(rootsFile(dataDir), { force: true }))
