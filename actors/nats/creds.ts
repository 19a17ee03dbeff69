/**
 * Who may speak to this node's NATS server: the daemon itself, and the other systems it was told of.
 *
 * Clients are known by public nkeys. The seed of an external client is made here, handed out once and not kept.
 */
import { Buffer } from "node:buffer"
import { existsSync, readdirSync, rmSync } from "node:fs"
import { basename, join } from "node:path"
import { Effect, Schema } from "effect"
import { nkeys } from "nats"
import { privateDirectory, readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"
import { natsPaths } from "#actors/drivers/nats-server/paths.ts"
import type { NatsKeys } from "#actors/model/trust.ts"
import type { NatsUser } from "#actors/nats/configure.ts"
import { clientRights, inboxOf, rightsOf, workerRights } from "#actors/nats/rights.ts"
import { wordsOf } from "#runtime/words-of.ts"

export class NatsCredsError extends Schema.TaggedError<NatsCredsError>()("NatsCredsError", {
  message: Schema.String
}) {}

/** How a client proves who it is, and the one place where it may receive answers. */
export interface NatsCredentials {
  /** An nkey seed, `SU…`: a secret. */
  readonly seed: string
  readonly publicKey: string
  /** To be set as the client's `inboxPrefix`; answers sent elsewhere do not reach it. */
  readonly inboxPrefix: string
}

export type OwnCredentials = Readonly<Record<keyof NatsKeys, NatsCredentials>>

/** What is kept of an external client; no secret. */
export const ClientRecord = Schema.Struct({
  name: Schema.String,
  readOnly: Schema.Boolean,
  publicKey: Schema.String.check(Schema.isPattern(/^U[A-Z2-7]{55}$/)),
  createdAt: Schema.String,
  /** Asks on subjects of its own alone; those of before feature level 22 also where nobody can tell who asks. */
  named: Schema.optionalKey(Schema.Boolean)
})
export type ClientRecord = typeof ClientRecord.Type

/** Earlier releases had two. */
const Seeds = Schema.Struct({
  daemon: Schema.String,
  api: Schema.String,
  raft: Schema.optionalKey(Schema.String),
  system: Schema.optionalKey(Schema.String)
})
export type OwnSeeds = NatsKeys

const clientName = /^[A-Za-z0-9_-]{1,32}$/
/** No client can be called so: it has a dot. */
const clusterFile = (dataDir: string): string => join(natsPaths(dataDir).creds, "of.cluster")
const clientInbox = (name: string): string => `_INBOX.client-${name}`

const attempt = <A>(what: string, run: () => A): Effect.Effect<A, NatsCredsError> =>
  Effect.try({
    try: run,
    catch: (error) => new NatsCredsError({ message: `${what}: ${wordsOf(error)}` })
  })

const publicKeyOf = (seed: string): string => nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey()

/** Proves to whoever knows the public key who says these words; base64. */
export const signWithSeed = (words: string, seed: string): string =>
  Buffer.from(nkeys.fromSeed(new TextEncoder().encode(seed)).sign(Buffer.from(words))).toString("base64")

export function isSignedBySeed(words: string, signature: string, publicKey: string): boolean {
  try {
    return nkeys.fromPublic(publicKey).verify(Buffer.from(words), Buffer.from(signature, "base64"))
  } catch {
    // Not a key: nobody can have signed with it.
    return false
  }
}

const newSeed = (): string => new TextDecoder().decode(nkeys.createUser().getSeed())

/** The seeds of this node's own connections, made at the first start and read afterwards: secrets. */
export const ownSeeds = Effect.fnUntraced(function* (
  dataDir: string
): Effect.fn.Return<OwnSeeds, NatsCredsError> {
  const paths = natsPaths(dataDir)
  return yield* attempt(`Cannot read ${paths.keys}`, () => {
    privateDirectory(paths.root)
    const text = readIfThere(paths.keys)
    const known = text === undefined ? {} : Schema.decodeUnknownSync(Seeds)(JSON.parse(text))
    const seeds = { daemon: newSeed(), api: newSeed(), raft: newSeed(), system: newSeed(), ...known }
    if (Object.keys(known).length < Object.keys(seeds).length) {
      writePrivate(paths.keys, `${JSON.stringify(seeds)}\n`)
    }
    return seeds
  })
})

/** What others may know of how a node's connections show who they are. */
export const publicKeysOf = (own: OwnSeeds | OwnCredentials): NatsKeys => {
  const keyOf = (secret: string | NatsCredentials): string =>
    typeof secret === "string" ? publicKeyOf(secret) : secret.publicKey
  return { daemon: keyOf(own.daemon), api: keyOf(own.api), raft: keyOf(own.raft), system: keyOf(own.system) }
}

/** How each of the node's connections shows who it is. */
export const ownCredentials = Effect.fnUntraced(function* (
  dataDir: string,
  nodeId: string
): Effect.fn.Return<OwnCredentials, NatsCredsError> {
  const seeds = yield* ownSeeds(dataDir)
  const keys = publicKeysOf(seeds)
  const credentials = (which: keyof NatsKeys): NatsCredentials => ({
    seed: seeds[which],
    publicKey: keys[which],
    inboxPrefix: inboxOf[which](nodeId)
  })
  return {
    daemon: credentials("daemon"),
    api: credentials("api"),
    raft: credentials("raft"),
    system: credentials("system")
  }
})

/** Credentials for another system, and what is kept of them. They hold the only copy of the seed. Refuses an unusable name. */
export const newClient = Effect.fnUntraced(function* (
  made: Omit<ClientRecord, "publicKey">
): Effect.fn.Return<
  { readonly record: ClientRecord; readonly credentials: NatsCredentials },
  NatsCredsError
> {
  if (!clientName.test(made.name)) return yield* badName(made.name)
  const seed = newSeed()
  const publicKey = publicKeyOf(seed)
  return {
    record: { ...made, publicKey },
    credentials: { seed, publicKey, inboxPrefix: clientInbox(made.name) }
  }
})

/** The cluster's clients from now on, for this node's server; it takes them up by itself, and has them when it starts. */
export const keepClients = (
  dataDir: string,
  clients: ReadonlyArray<ClientRecord>
): Effect.Effect<void, NatsCredsError> => {
  const file = clusterFile(dataDir)
  return attempt(`Cannot write ${file}`, () => {
    const text = `${JSON.stringify(clients, null, 2)}\n`
    if (readIfThere(file) !== text) writePrivate(file, text)
  })
}

/** Shuts out a client that this node alone knows; its connections end when the daemon takes it up. False when there was none. */
export const removeClient = Effect.fnUntraced(function* (
  dataDir: string,
  name: string
): Effect.fn.Return<boolean, NatsCredsError> {
  if (!clientName.test(name)) return yield* badName(name)
  const file = join(natsPaths(dataDir).creds, `${name}.json`)
  return yield* attempt(`Cannot remove ${file}`, () => {
    if (readIfThere(file) === undefined) return false
    rmSync(file)
    return true
  })
})

const badName = (name: string): NatsCredsError =>
  new NatsCredsError({
    message: `NATS client name ${JSON.stringify(name)} is not usable: expected 1 to 32 letters, digits, dashes or underscores`
  })

/**
 * The external clients on disk: the cluster's, and those that earlier releases made for this node alone (`local`), and
 * what was wrong with files that could not be used.
 */
export const listClients = (
  dataDir: string
): Effect.Effect<
  {
    readonly clients: ReadonlyArray<ClientRecord>
    readonly local: ReadonlyArray<ClientRecord>
    readonly problems: ReadonlyArray<string>
  },
  NatsCredsError
> => {
  const directory = natsPaths(dataDir).creds
  return attempt(`Cannot read ${directory}`, () => {
    privateDirectory(directory)
    const clients: Array<ClientRecord> = []
    const problems: Array<string> = []
    const read = (file: string, records: (text: string) => ReadonlyArray<ClientRecord>): void => {
      const path = join(directory, file)
      try {
        for (const record of records(readIfThere(path) ?? "")) {
          checkClient(record, clients)
          clients.push(record)
        }
      } catch (error) {
        problems.push(`Cannot use ${path}: ${wordsOf(error)}`)
      }
    }
    const cluster = clusterFile(dataDir)
    if (existsSync(cluster)) read(basename(cluster), (text) => decodeClients(JSON.parse(text)))
    const ofCluster = clients.length
    for (const file of readdirSync(directory).sort()) {
      if (!file.endsWith(".json")) continue
      read(file, (text) => {
        const record = decodeClient(JSON.parse(text))
        if (`${record.name}.json` !== file)
          throw new Error(`name ${JSON.stringify(record.name)} does not match the file's`)
        return [record]
      })
    }
    return { clients, local: clients.slice(ofCluster), problems }
  })
}

const decodeClient = Schema.decodeUnknownSync(ClientRecord)
const decodeClients = Schema.decodeUnknownSync(Schema.Array(ClientRecord))

/** Throws for a client that would have the server refuse its whole configuration, or have what is another's. */
export function checkClient({ name, publicKey }: ClientRecord, others: ReadonlyArray<ClientRecord>): void {
  if (!clientName.test(name)) throw badName(name)
  // A key with a wrong checksum, or met twice, the server does not take.
  nkeys.fromPublic(publicKey)
  const twin = others.find((other) => other.publicKey === publicKey || other.name === name)
  if (twin?.name === name) throw new Error(`name ${JSON.stringify(name)} is taken`)
  if (twin !== undefined) throw new Error(`its public key is also that of ${twin.name}`)
}

/** A node whose connections a server takes: a worker, or a manager when its own server is down. */
export interface NatsMember {
  readonly nodeId: string
  /** A manager's name in the Raft group; a worker has none. */
  readonly raftId?: string
  readonly keys: NatsKeys
}

/** Everyone that a server lets in. */
export const usersOf = (
  cluster: string,
  members: ReadonlyArray<NatsMember>,
  clients: ReadonlyArray<ClientRecord>
): ReadonlyArray<NatsUser> => {
  const nodes = members.flatMap(({ nodeId, raftId, keys }) => {
    if (raftId === undefined) return [{ publicKey: keys.daemon, rights: workerRights(cluster, nodeId) }]
    const rights = rightsOf(cluster, nodeId, raftId)
    return (["daemon", "api", "raft", "system"] as const).map((which) => ({
      publicKey: keys[which],
      rights: rights[which]
    }))
  })
  const taken = new Set(nodes.map(({ publicKey }) => publicKey))
  return [
    ...nodes,
    ...clients.flatMap(({ publicKey, named = false, ...client }) =>
      taken.has(publicKey)
        ? []
        : [{ publicKey, rights: clientRights(clientInbox(client.name), { ...client, named }) }]
    )
  ]
}
