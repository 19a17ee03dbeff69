/**
 * What consensus asks of a disk: keep a batch and say when it is durable, read entries back, keep snapshots.
 *
 * Everything above this line runs over `storage/disk.ts` in production, without its thread in tests and
 * simulation, and does not know which.
 */
import type { Entry, HardState } from "#actors/raft/entry.ts"

/**
 * One atomic write: hard state, truncation and entries are durable together or not at all.
 *
 * `truncateFrom` forgets entries from that index on, before `entries` are appended. `commitHint` is the last
 * index known to be committed; it is only a hint and is never worth a write of its own.
 */
export interface PersistBatch {
  readonly token: number
  readonly hardState?: HardState
  readonly truncateFrom?: number
  readonly entries: ReadonlyArray<Entry>
  readonly commitHint: number
}

/** A snapshot replaces the log up to and including `index`; `config` is the group's configuration there. */
export interface SnapshotMeta {
  readonly index: number
  readonly term: number
  readonly config: Uint8Array
}

/** What was found at the start. `entries` follow the snapshot without a gap; `notes` are worth a warning each. */
export interface Recovered {
  readonly hardState: HardState
  readonly commitHint: number
  readonly snapshot?: SnapshotMeta
  readonly entries: ReadonlyArray<Entry>
  readonly lastIndex: number
  readonly notes: ReadonlyArray<string>
}

/**
 * What was written whole and is not any more, found while the log is open. A damaged snapshot is replaced by the
 * next one, which should be taken soon; damage of the log is a matter for `quarantine`, because the next start
 * finds it and refuses.
 */
export interface Damage {
  readonly of: "log" | "snapshot"
  /** Under the `raft` directory. */
  readonly file: string
  readonly reason: string
}

/** `scrubs` counts how often everything was read over; `damage` is what was found and is not replaced yet. */
export interface ScrubStatus {
  readonly scrubs: number
  readonly damage: ReadonlyArray<Damage>
}

/** `logBytes` is what was written since the newest snapshot; `low` means that new entries should be refused. */
export interface StorageStatus extends ScrubStatus {
  readonly diskBytes: number
  readonly logBytes: number
  readonly snapshotIndex: number
  readonly snapshotBytes: number
  readonly low: boolean
}

/** Who keeps the key that wraps the data keys: people (autolock, 32 bytes), or a file in the data directory. */
export type WrapWith = { readonly _tag: "UnlockKey"; readonly key: Uint8Array } | { readonly _tag: "KeyFile" }

export interface Storage {
  readonly recovered: Recovered
  /**
   * Writes batches in the order of the calls, one at a time, and calls `durable` with the token once the batch
   * survives a power loss. There is no failure to handle: a disk that fails ends the process.
   */
  readonly persist: (batch: PersistBatch, durable: (token: number) => void) => void
  /** Entries `from` to `to` inclusive, fewer when they exceed `maxBytes`, at least one; each checked on the way. */
  readonly read: (
    from: number,
    to: number,
    maxBytes: number,
    done: (entries: ReadonlyArray<Entry>) => void
  ) => void
  /** The newest snapshot's chunks as they were given, decrypted and checked while they are read. */
  readonly loadSnapshot: () => Iterable<Uint8Array>
  /**
   * Writes a snapshot beside the log, reads it back, and only then drops what two snapshots make needless.
   * `done(false)` says that there was no room and nothing changed. One at a time.
   */
  readonly saveSnapshot: (
    meta: SnapshotMeta,
    chunks: Iterator<Uint8Array>,
    done: (saved: boolean) => void
  ) => void
  readonly status: () => StorageStatus
  /**
   * Seals what is written from now on with a fresh data key; `done` once that is durable. The old key is forgotten
   * when the last file that it sealed is gone: after two more snapshots, or one and a restart.
   */
  readonly newDataKey: (done: () => void) => void
  /** Keeps so many snapshots beside the newest from now on, though one at least: for people, who may want to go back. */
  readonly keepSnapshots: (old: number) => void
  /** Wraps the data keys with another key and forgets the old one; `done` once only the new one opens them. */
  readonly wrapKeys: (wrap: WrapWith, done: () => void) => void
  /**
   * Takes this log out of service for good, because acknowledged data are known to be lost: `done` once that is
   * durable. Nothing is written or answered after the call, and every later start is a `Quarantine`.
   */
  readonly quarantine: (reason: string, done: () => void) => void
  /** Completes what was asked, then lets go of the files. */
  readonly close: (done: () => void) => void
}

/** Data that was acknowledged cannot be read back. Nothing was changed on disk. */
export interface Quarantine {
  readonly _tag: "Quarantine"
  readonly reason: string
}
/** The data key is wrapped by a key that is not here. */
export interface Locked {
  readonly _tag: "Locked"
  readonly reason: string
}
