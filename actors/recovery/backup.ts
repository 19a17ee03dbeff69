/**
 * A backup: what it is of, and the ledger's snapshot at one entry. With the ledger come the certificate authority's key
 * and everything else that a cluster is made of, so it is never written but sealed (`sealed-file.ts`).
 *
 *     length u32 │ manifest, JSON │ snapshot (`actors/ledger/snapshot.ts`)
 */
import { Buffer } from "node:buffer"
import { Schema } from "effect"
import { kinds } from "#actors/ledger/tables.ts"
import { Incarnation } from "#actors/model/trust.ts"
import { cannot } from "#actors/recovery/errors.ts"
import { type Replayed, replay } from "#actors/recovery/replayed.ts"
import { openSeal, type ReadAt, type Seal, unsealed } from "#actors/recovery/sealed-file.ts"

const text = Schema.String
const whole = Schema.Int

/** `index` and `term` are of the last entry in it, `createdAt` is RFC 3339, `digest` that of the state. */
export const Manifest = Schema.Struct({
  format: Schema.Literal(1),
  version: text,
  createdAt: text,
  clusterId: text,
  incarnation: Incarnation,
  nodeId: text,
  index: whole,
  term: whole,
  digest: text
})
export type Manifest = typeof Manifest.Type

/** What is sealed, as it is taken. */
export function* contentsOf(manifest: Manifest, snapshot: Iterable<Uint8Array>): Generator<Uint8Array> {
  const json = Buffer.from(JSON.stringify(manifest))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(json.length)
  yield length
  yield json
  yield* snapshot
}

/** A backup that was read to its end and is whole. */
export interface Backup {
  readonly manifest: Manifest
  readonly state: Replayed
  /** The snapshot once more, authenticated while it is read. */
  readonly snapshot: () => Iterable<Uint8Array>
}

/** Opens a backup and reads all of it. Throws `RecoveryError` naming what is wrong with it. */
export async function readBackup(read: ReadAt, passphrase: string): Promise<Backup> {
  const seal = await openSeal(read, passphrase)
  const manifest = takeManifest(seal, read).manifest
  const snapshot = (): Iterable<Uint8Array> => takeManifest(seal, read).rest
  const state = replay(snapshot(), [])
  if (state.digest !== manifest.digest || state.cluster.ID !== manifest.clusterId) {
    throw cannot(
      `it says that it is of cluster ${manifest.clusterId} with digest ${manifest.digest}, and holds ${state.cluster.ID} with ${state.digest}`
    )
  }
  return { manifest, state, snapshot }
}

const longestManifest = 64 * 1024

function takeManifest(
  seal: Seal,
  read: ReadAt
): { readonly manifest: Manifest; readonly rest: Iterable<Uint8Array> } {
  const blocks = unsealed(seal, read)
  const first = Buffer.from(blocks.next().value ?? [])
  const length = first.length < 4 ? longestManifest : first.readUInt32LE()
  if (length > first.length - 4) throw cannot("it does not say what it is of")
  let manifest: Manifest
  try {
    manifest = Schema.decodeUnknownSync(Manifest)(JSON.parse(first.subarray(4, 4 + length).toString()))
  } catch {
    throw cannot("what it says of itself is of a release that is not known here")
  }
  return {
    manifest,
    rest: (function* () {
      yield first.subarray(4 + length)
      yield* blocks
    })()
  }
}

/** What a state comes to, in words: `2 nodes, 5 services, …`. */
export const showCounts = ({ counts }: Replayed): string =>
  kinds
    // A backup of an earlier release counts none, and most clusters have none.
    .filter((kind) => kind !== "volume" || (counts[kind] ?? 0) > 0)
    .map((kind) => `${counts[kind]} ${kind}${counts[kind] === 1 ? "" : "s"}`)
    .join(", ")
