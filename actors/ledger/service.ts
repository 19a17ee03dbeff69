/** The ledger as a service: read it, write to it, follow it. */
import { Context, type Effect } from "effect"
import type { Applied, Command } from "#actors/ledger/commands.ts"
import type { Mark } from "#actors/ledger/marks.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import type { Refusal } from "#actors/model/errors.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type {
  GroupService,
  Leadership,
  NoLeader,
  RaftFigures,
  RaftService,
  RaftStatus
} from "#actors/raft/protocol.ts"

/** Who asks and why; both are written beside the command. */
export interface Origin {
  readonly who: string
  readonly why: string
}

/**
 * How a write ends. `Refused` and `NotLeader` changed nothing. `Unknown` may have changed something: read the
 * ledger again and decide afresh; `isRefused` where whoever leads said no, for what `message` says.
 */
export type WriteOutcome =
  | { readonly _tag: "Applied"; readonly applied: Applied }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }
  | { readonly _tag: "NotLeader"; readonly leader?: string }
  | { readonly _tag: "Unknown"; readonly message: string; readonly isRefused?: true }

/** This member of the Raft group, and the state that it has built from the log. */
export interface LedgerStatus extends RaftStatus {
  /** 16 hexadecimal digits over the whole state: members with the same `applied` that differ here have diverged. */
  readonly digest: string
  /** What all managers have reached, and so may be written; see `features.ts`. 0 before there is a cluster. */
  readonly featureLevel: number
}

/** The whole state at entry `index`; `term` is this member's, and at least that of the entry. */
export interface LedgerSnapshot {
  readonly cluster: Cluster | undefined
  readonly index: number
  readonly term: number
  readonly digest: string
  readonly chunks: Iterable<Uint8Array>
}

export interface LedgerService {
  readonly read: LedgerReader
  /** Never fails: every way to end is a `WriteOutcome`. `onlyInTerm`: see `RaftService`. */
  readonly propose: (command: Command, origin: Origin, onlyInTerm?: number) => Effect.Effect<WriteOutcome>
  /** Completes when reads are linearizable with everything acknowledged before. One round serves a whole turn. */
  readonly readIndex: Effect.Effect<number, NoLeader>
  /** Every change from now on, in order, synchronously after it was applied. */
  readonly follow: (listen: (changes: ChangeSet) => void) => { readonly unsubscribe: () => void }
  readonly onLeadership: (listen: (leadership: Leadership) => void) => { readonly unsubscribe: () => void }
  readonly leadership: () => Leadership
  readonly status: () => LedgerStatus
  /** The managers that keep this ledger. */
  readonly group: GroupService
  /** Freezes the state as of the last entry that was applied here, and yields it as it is taken. */
  readonly snapshot: () => LedgerSnapshot
  /** This member's digests at the latest entries at which all members note theirs, oldest first. */
  readonly marks: () => ReadonlyArray<Mark>
  /** What this member of the Raft group measures of itself. */
  readonly figures?: () => RaftFigures
  /** Lets another key open this member's log on disk. */
  readonly wrapKeys?: RaftService["wrapKeys"]
}

export class Ledger extends Context.Service<Ledger, LedgerService>()("troupe/actors/ledger/Ledger") {}
