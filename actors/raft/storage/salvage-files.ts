/** Salvage over data directories: reads what each still holds, and writes a new one for a group of one. */
import { type Entry, entryType } from "#actors/raft/entry.ts"
import type { Incarnation } from "#actors/raft/incarnation.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import { encodePayload, entrySize, type Owner } from "#actors/raft/storage/frame.ts"
import {
  type Damage,
  inspect,
  openReadable,
  type Readable,
  type ReadInput,
  sightings
} from "#actors/raft/storage/inspect.ts"
import { type Limits, names, raftDirectory } from "#actors/raft/storage/layout.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import {
  type Salvaged,
  type SalvageFrame,
  type SalvageSource,
  salvage,
  type Unsalvageable
} from "#actors/raft/storage/salvage.ts"
import { readSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import type { Vfs } from "#actors/raft/storage/vfs.ts"
import { Wal } from "#actors/raft/storage/wal.ts"
import type { SnapshotMeta } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"

/** What one data directory still has, for people and for `salvage`. */
export interface Survey {
  readonly directory: string
  readonly owner: Owner
  readonly incarnation: Incarnation
  readonly term: number
  readonly vote: string
  readonly commitHint: number
  readonly snapshots: ReadonlyArray<SnapshotMeta & { readonly name: string }>
  /** Runs of entries that are whole, first and last index of each. */
  readonly ranges: ReadonlyArray<readonly [from: number, to: number]>
  readonly damage: ReadonlyArray<Damage>
  /** Why it takes no part, where it was told not to. */
  readonly quarantined?: string
  readonly source: SalvageSource
  readonly log: Readable
}

/** Reads one data directory, changing nothing. Throws `Unreadable` and `DiskError`. */
export function survey(input: ReadInput): Survey {
  const log = openReadable(input)
  const found = inspect(log)
  const frames: Array<SalvageFrame> = []
  let afterGap = false
  for (const seen of sightings(log)) {
    if (seen._tag === "Damage") afterGap = true
    if (seen._tag !== "Frame") continue
    const { truncateFrom, commitHint } = seen.head
    frames.push({ afterGap, truncateFrom, commitHint, entries: seen.entries })
    afterGap = false
  }
  const { owner, hardState, snapshots, damage } = found
  return {
    directory: input.directory,
    owner,
    incarnation: log.incarnation,
    term: hardState.term,
    vote: hardState.vote,
    commitHint: found.commitHint,
    snapshots: snapshots.map(({ index, term, config, name }) => ({ index, term, config, name })),
    ranges: runs([...found.entries.keys()].sort((a, b) => a - b)),
    damage,
    ...(found.quarantined === undefined ? {} : { quarantined: found.quarantined }),
    source: {
      name: input.directory,
      term: hardState.term,
      snapshots,
      frames,
      damaged: damage.length > 0
    },
    log
  }
}

function runs(indexes: ReadonlyArray<number>): ReadonlyArray<readonly [number, number]> {
  const found: Array<[number, number]> = []
  for (const index of indexes) {
    const last = found.at(-1)
    if (last !== undefined && last[1] === index - 1) last[1] = index
    else found.push([index, index])
  }
  return found
}

/** What the surveyed logs hold together; refuses logs of different clusters. */
export function merge(surveys: ReadonlyArray<Survey>): Salvaged | Unsalvageable {
  const clusters = [...new Set(surveys.map(({ owner }) => owner.clusterId))]
  if (clusters.length > 1) {
    return { _tag: "Unsalvageable", missing: [`These are logs of several clusters: ${clusters.join(", ")}`] }
  }
  return salvage(surveys.map(({ source }) => source))
}

/**
 * The new log: whose it is, where, and `config`, the configuration of a group of this member alone in its new
 * incarnation, which becomes the last entry. Whoever knows the group's configurations encodes it.
 */
export interface Rebuild {
  readonly vfs: Vfs
  readonly cipher: Cipher
  readonly directory: string
  readonly owner: Owner
  readonly limits: Limits
  readonly nowMs: number
  readonly config: Uint8Array
  readonly incarnation?: Incarnation
  /** Wraps its data keys; by default what is in the directory, or a new one that is left there. */
  readonly unlockKey?: Uint8Array
}

/** What a new log begins with; `entries` follow the snapshot, or the log's beginning, without a gap. */
export interface Contents {
  /** Above that of every entry, and of the snapshot. */
  readonly term: number
  readonly committed: number
  readonly lastIndex: number
  readonly entries: ReadonlyArray<Entry>
  readonly snapshot?: { readonly meta: SnapshotMeta; readonly chunks: Iterable<Uint8Array> }
}

const groupBytes = 256 * 1024

/** What a salvaged log begins with. */
export function contentsOf(found: Salvaged, surveys: ReadonlyArray<Survey>): Contents {
  const { base, ...rest } = found
  return { ...rest, ...(base !== undefined && { snapshot: snapshotOf(base, surveys) }) }
}

/** Writes a log into a directory that holds none; answers the index of its last entry, the one with `config`. */
export function writeLog(target: Rebuild, contents: Contents): number {
  const { vfs, cipher, directory, owner, config } = target
  if (vfs.list(raftDirectory(directory)).some((name) => name !== names.lock && name !== names.holder)) {
    throw new Error(`Cannot write the salvaged log to ${directory}: there is a log already`)
  }
  const opened = openLog({ ...target })
  assert(opened._tag === "Recovered", "a new log opens")
  const wal = new Wal(vfs, cipher, opened.wal)
  const { term, snapshot, committed, lastIndex } = contents
  const vote = owner.nodeId
  const append = (entries: ReadonlyArray<Entry>, firstIndex: number, commitHint: number): void =>
    wal.append({
      term,
      vote,
      commitHint,
      firstIndex,
      truncateFrom: 0,
      count: entries.length,
      payload: encodePayload(cipher, vote, entries)
    })

  append([], 1, 0)
  if (snapshot !== undefined) saveSnapshot(wal, snapshot)
  const last: Entry = { index: lastIndex + 1, term, type: entryType.config, data: config }
  let group: Array<Entry> = []
  let bytes = 0
  for (const entry of [...contents.entries, last]) {
    if (bytes > 0 && bytes + entrySize(entry) > groupBytes) {
      append(group, group[0]?.index ?? 0, committed)
      group = []
      bytes = 0
    }
    group.push(entry)
    bytes += entrySize(entry)
  }
  append(group, group[0]?.index ?? 0, last.index)
  wal.close()
  return last.index
}

function saveSnapshot(wal: Wal, { meta, chunks }: NonNullable<Contents["snapshot"]>): void {
  const draft = wal.draft(meta)
  for (const chunk of chunks) draft.add(chunk)
  wal.adopt(draft.finishNow())
}

/** The snapshot that a salvaged log begins from, decrypted and checked while it is read. */
export function snapshotOf(
  base: NonNullable<Salvaged["base"]>,
  surveys: ReadonlyArray<Survey>
): NonNullable<Contents["snapshot"]> {
  const from = surveys.find(({ directory }) => directory === base.source)
  const stored = from?.snapshots.find(({ index, term }) => index === base.index && term === base.term)
  assert(from !== undefined && stored !== undefined, "the snapshot to begin from was surveyed")
  const { vfs, cipher, owner, ring, directory } = from.log
  const { index, term, config, name } = stored
  return {
    meta: { index, term, config },
    chunks: readSnapshot(vfs, cipher, owner, ring, `${directory}/${names.snapshots}/${name}`)
  }
}
