/** What crosses between a member and the thread that writes its log. */
import type { Entry } from "#actors/raft/entry.ts"
import type { StoredSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import type { WalStatus } from "#actors/raft/storage/wal.ts"
import type { EncodedBatch, KeyChange } from "#actors/raft/storage/wal-state.ts"
import type { ScrubStatus, SnapshotMeta } from "#actors/raft/storage.ts"

export type ToWriter =
  | { readonly _tag: "Append"; readonly token: number; readonly batch: EncodedBatch }
  | {
      readonly _tag: "Read"
      readonly id: number
      readonly from: number
      readonly to: number
      readonly maxBytes: number
    }
  | { readonly _tag: "BeginSnapshot"; readonly meta: SnapshotMeta }
  | { readonly _tag: "SnapshotChunks"; readonly chunks: ReadonlyArray<Uint8Array> }
  | { readonly _tag: "EndSnapshot" }
  | { readonly _tag: "KeepSnapshots"; readonly old: number }
  | { readonly _tag: "ChangeKeys"; readonly change: KeyChange }
  | { readonly _tag: "Quarantine"; readonly reason: string }
  | { readonly _tag: "Close" }

export type FromWriter =
  /** `status` when there is more to it than that the log has grown. */
  | {
      readonly _tag: "Durable"
      readonly token: number
      readonly logBytes: number
      readonly status?: WalStatus
    }
  | { readonly _tag: "Entries"; readonly id: number; readonly entries: ReadonlyArray<Entry> }
  | { readonly _tag: "ChunksWritten" }
  /** Without `stored` there was no room for it. */
  | { readonly _tag: "SnapshotEnded"; readonly stored?: StoredSnapshot; readonly status: WalStatus }
  | { readonly _tag: "Room"; readonly status: WalStatus }
  | { readonly _tag: "Failed"; readonly name: string; readonly message: string }
  | ({ readonly _tag: "Scrubbed" } & ScrubStatus)
  | { readonly _tag: "KeysChanged" }
  | { readonly _tag: "Quarantined" }
  | { readonly _tag: "Closed" }
