/** Where a log stands: what recovery hands to the writer, as plain data that crosses to its thread. */
import type { Owner } from "#actors/raft/storage/frame.ts"
import type { DataKey, KeyRing } from "#actors/raft/storage/keys.ts"
import type { Limits } from "#actors/raft/storage/layout.ts"
import type { Slot } from "#actors/raft/storage/slot.ts"
import type { StoredSnapshot } from "#actors/raft/storage/snapshot-file.ts"

/** `bytes` is the file's size. */
export interface SegmentAt {
  readonly name: string
  readonly fileId: Uint8Array
  readonly keyId: Uint8Array
  readonly firstSeq: number
  readonly firstIndex: number
  readonly bytes: number
}

/** Where entries are: `count` of them from `firstIndex`, in one frame. */
export interface FrameAt {
  readonly fileId: Uint8Array
  readonly offset: number
  readonly size: number
  readonly firstIndex: number
  readonly count: number
}

/** `segments` are oldest first, the last one is written to at `offset`; `snapshots` are newest first. */
export interface WalState {
  readonly directory: string
  readonly owner: Owner
  /** Newest first. */
  readonly ring: KeyRing
  readonly limits: Limits
  readonly segments: ReadonlyArray<SegmentAt>
  readonly offset: number
  readonly seq: number
  readonly previousCrc: number
  readonly term: number
  readonly vote: string
  readonly nextIndex: number
  readonly slot: Slot
  readonly frames: ReadonlyArray<FrameAt>
  readonly snapshots: ReadonlyArray<StoredSnapshot>
  readonly logBytes: number
}

/** The file of data keys, wrapped, now and once only the newest key is in use; a new data key if there is one. */
export interface KeyChange {
  readonly keys: Uint8Array
  readonly keysAfter: Uint8Array
  readonly dataKey?: DataKey
}

/** A batch as it crosses to the writer: the payload is encoded already. */
export interface EncodedBatch {
  readonly term: number
  readonly vote: string
  readonly commitHint: number
  readonly firstIndex: number
  readonly truncateFrom: number
  readonly count: number
  readonly payload: Uint8Array
}
