/**
 * A member around the core, still without a world: events in, effects out.
 *
 * It keeps what callers wait for, sends proposals and reads to whoever leads, tries again when the leader changes,
 * takes and moves snapshots. `member.ts` carries its effects out over a `Storage`, a state machine and something that
 * sends; that file runs in the simulator as it does in production.
 */
import type { ConfigChange, Configuration, NodeId } from "#actors/raft/core/configuration.ts"
import type { ConfigResult, CoreStatus, TransferResult } from "#actors/raft/core/protocol.ts"
import type { CoreSettings } from "#actors/raft/core/settings.ts"
import type { Entry } from "#actors/raft/entry.ts"
import type { Message } from "#actors/raft/host/message.ts"
import type { Leadership, ProposalId, ProposeOutcome } from "#actors/raft/protocol.ts"
import type { PersistBatch, Recovered, SnapshotMeta, StorageStatus } from "#actors/raft/storage.ts"
import type { FreshState } from "#runtime/ids.ts"

/** The driver's name for a caller that waits; each is settled exactly once. */
export type Ticket = number

export interface HostSettings {
  readonly core: CoreSettings
  /** How long a proposal may take before its outcome is unknown, unless the caller says. */
  readonly proposalTicks: number
  /** How long a read may take before it fails. */
  readonly readTicks: number
  /** How long callers wait for a leader before they are told that there is none. */
  readonly patienceTicks: number
  /** A forwarded proposal or read without a sign of life is sent again. */
  readonly resendTicks: number
  /** Proposals of this member that are on their way. The state machine remembers at least as many per proposer. */
  readonly pendingProposals: number
  readonly pendingBytes: number
  /** A snapshot is due after so many entries, or so many bytes of log or twice the last snapshot, but at most… */
  readonly snapshotEntries: number
  readonly snapshotBytes: number
  /** …so many bytes of log: the log since the last snapshot is held in memory. */
  readonly snapshotBytesAtMost: number
  /** Chunks asked for at a time. */
  readonly chunksAtOnce: number
  /** A transfer without a chunk for so long asks again… */
  readonly chunkTicks: number
  /** …and for so long is given up. */
  readonly fetchTicks: number
  /** Whether a leader promotes learners by itself once they have caught up. */
  readonly autoPromote: boolean
}

export type HostEvent =
  /** From another member; decoded, and `from` is who it says. */
  | { readonly _tag: "Received"; readonly message: Message }
  | { readonly _tag: "Ticked"; readonly storage: StorageStatus }
  | { readonly _tag: "Persisted"; readonly token: number; readonly storage: StorageStatus }
  /** The answer to `Quarantine`: every later start will know. */
  | { readonly _tag: "Marked" }
  /** Entries up to and including `index` were applied; `results` are those of the last `Apply`, in order. */
  | { readonly _tag: "Applied"; readonly index: number; readonly results: ReadonlyArray<unknown> }
  /** A snapshot of the own state was saved, or there was no room. */
  | {
      readonly _tag: "Saved"
      readonly meta: SnapshotMeta
      readonly saved: boolean
      readonly storage: StorageStatus
    }
  /** The received snapshot was saved and the state machine holds it, or there was no room (it is asked again). */
  | {
      readonly _tag: "Installed"
      readonly token: number
      readonly saved: boolean
      readonly storage: StorageStatus
    }
  /** The answer to `LoadChunks`; no chunks and not `last` means that the snapshot is gone. */
  | {
      readonly _tag: "Loaded"
      readonly to: NodeId
      readonly index: number
      readonly snapshotTerm: number
      readonly chunk: number
      readonly chunks: ReadonlyArray<{ readonly data: Uint8Array; readonly checksum: number }>
      readonly last: boolean
    }
  | {
      readonly _tag: "Propose"
      readonly ticket: Ticket
      readonly id: ProposalId
      readonly data: Uint8Array
      readonly deadlineTicks?: number
      /** Ends unless it becomes an entry of this term. */
      readonly onlyInTerm?: number
    }
  | { readonly _tag: "Read"; readonly ticket: Ticket; readonly deadlineTicks?: number }
  | {
      readonly _tag: "Change"
      readonly ticket: Ticket
      readonly change: ConfigChange
      readonly force: boolean
    }
  | { readonly _tag: "Transfer"; readonly ticket: Ticket; readonly to?: NodeId }
  /** Take a snapshot now; settled when it is durable, or when there is nothing to add to the last. */
  | { readonly _tag: "Compact"; readonly ticket: Ticket }
  /** A snapshot is due after so many entries; as the settings say where it is undefined. */
  | { readonly _tag: "SnapshotEvery"; readonly entries: number | undefined }
  /** The turn that `TellLater` asked for. */
  | { readonly _tag: "Tell"; readonly when: Telling }
  | { readonly _tag: "PeerGone"; readonly node: NodeId }
  | { readonly _tag: "Unreachable"; readonly node: NodeId }

/**
 * When `Tell` is to be said: once everything that is due now has had its turn, or a few milliseconds on. Somebody whose
 * proposal was forwarded waits to hear that it is committed; all others may hear it with what is sent next.
 */
export type Telling = "next" | "shortly"

/** How something that was asked ends. */
export type Settlement =
  | { readonly _tag: "Proposal"; readonly outcome: ProposeOutcome }
  /** `index` is undefined when there is no leader, or not in time; `message` says so. */
  | { readonly _tag: "Read"; readonly index: number | undefined; readonly message: string }
  /** `Appended` settles only when the change is committed; `Unknown` when leadership was lost before. */
  | { readonly _tag: "Change"; readonly result: ConfigResult | { readonly _tag: "Unknown" } }
  | { readonly _tag: "Transfer"; readonly result: TransferResult }
  | { readonly _tag: "Compacted"; readonly saved: boolean }

/** In order. `Persist`, `SaveSnapshot` and `Install` go to the storage in the order in which they are given. */
export type HostEffect =
  | { readonly _tag: "Persist"; readonly batch: PersistBatch }
  | { readonly _tag: "Send"; readonly message: Message }
  /** Apply these, or a first part of them, and say how far it went with `Applied`; the rest is given again. */
  | { readonly _tag: "Apply"; readonly entries: ReadonlyArray<Entry> }
  /** Freeze the state now and save it. One at a time. */
  | { readonly _tag: "SaveSnapshot"; readonly meta: SnapshotMeta }
  /** Persist `before`, whose token nobody waits for, save what was fetched, restore the state machine from it. */
  | {
      readonly _tag: "Install"
      readonly token: number
      readonly before: PersistBatch | undefined
      readonly meta: SnapshotMeta
      readonly chunks: ReadonlyArray<Uint8Array>
    }
  /** Chunks of the newest snapshot, if it is this one, or of the one that `to` is reading already. */
  | {
      readonly _tag: "LoadChunks"
      readonly to: NodeId
      readonly index: number
      readonly snapshotTerm: number
      readonly chunk: number
      readonly count: number
    }
  | { readonly _tag: "TellLater"; readonly when: Telling }
  | { readonly _tag: "Settle"; readonly ticket: Ticket; readonly settlement: Settlement }
  | { readonly _tag: "Leadership"; readonly leadership: Leadership }
  /** This member's data are not what it promised; it takes no part from now on. Make that durable. */
  | { readonly _tag: "Quarantine"; readonly reason: string }

export interface HostOptions {
  readonly id: NodeId
  /** Random per process start. */
  readonly boot: string
  readonly recovered: Recovered
  readonly initial: Configuration
  readonly settings: HostSettings
  readonly chance: FreshState
  readonly storage: StorageStatus
}

export interface HostStatus extends CoreStatus {
  readonly applied: number
  readonly pendingProposals: number
  readonly pendingReads: number
  readonly snapshotIndex: number
  readonly fetching: { readonly index: number; readonly chunks: number } | undefined
}

export interface RaftHost {
  /**
   * One turn. The order within `events` is kept, except that ticks come last and count as one: whatever has arrived is
   * heard before time is said to have passed.
   */
  turn(events: ReadonlyArray<HostEvent>): ReadonlyArray<HostEffect>
  status(): HostStatus
}
