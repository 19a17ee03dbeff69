/**
 * Consensus as its host sees it: what can be said to the core, and what it asks for.
 *
 * The core is a state machine without time, chance or waiting of its own. The host calls it and then takes `ready()`,
 * until there is nothing more, carries that out, and reports back. It does not hold back a message: what promises
 * something (a vote, an acknowledgement, an own candidacy) leaves the core only once `persisted` has said that what
 * it rests on is durable.
 */
import type { ConfigChange, Configuration, NodeId } from "#actors/raft/core/configuration.ts"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import type { CoreSettings } from "#actors/raft/core/settings.ts"
import type { Entry, HardState } from "#actors/raft/entry.ts"
import type { Recovered, SnapshotMeta } from "#actors/raft/storage.ts"
import type { FreshState } from "#runtime/ids.ts"

export type Role = "follower" | "pre-candidate" | "candidate" | "leader"

/** What to append: one entry each, all of type `type`. */
export interface Proposed {
  readonly type: number
  readonly data: Uint8Array
}

/**
 * `Appended`: entry `index` of `term` and those after it are in this leader's log; nothing is promised yet. All
 * other answers: nothing was appended. `Transferring` ends within an election timeout.
 */
export type ProposeResult =
  | { readonly _tag: "Appended"; readonly index: number; readonly term: number }
  | { readonly _tag: "NotLeader"; readonly leader?: NodeId }
  | { readonly _tag: "Transferring" }
  | { readonly _tag: "Overloaded" }

export type ConfigResult = ProposeResult | { readonly _tag: "Refused"; readonly reason: string }

export type TransferResult =
  | { readonly _tag: "Started"; readonly to: NodeId }
  | { readonly _tag: "NotLeader"; readonly leader?: NodeId }
  | { readonly _tag: "Refused"; readonly reason: string }

/** The host's name for one round of reads. Never used twice. */
export type ReadId = number

/** The state as of `index` may be read, once it is applied. */
export interface ReadState {
  readonly id: ReadId
  readonly index: number
}

/** Who leads, and what this member is to the group. */
export interface SoftState {
  readonly role: Role
  readonly term: number
  readonly leader: NodeId | undefined
  /** Why this member takes no part: its data are not what it promised. */
  readonly quarantined: string | undefined
  /** The group has said that this member was removed. */
  readonly removed: boolean
}

/**
 * One write, atomic. With `snapshot`, the log ends at the snapshot: truncate first, then save it; both are one token.
 */
export interface Persist {
  readonly token: number
  readonly hardState: HardState | undefined
  readonly truncateFrom: number | undefined
  readonly entries: ReadonlyArray<Entry>
  readonly commitHint: number
  readonly snapshot: SnapshotMeta | undefined
}

/** What to do now, in this order: begin to persist, send, apply, answer reads. */
export interface Ready {
  readonly persist: Persist | undefined
  readonly messages: ReadonlyArray<CoreMessage>
  /** Committed and durable here; each is given once, without gaps. */
  readonly committed: ReadonlyArray<Entry>
  readonly reads: ReadonlyArray<ReadState>
  /** Rounds that end without an answer: leadership was lost. */
  readonly lostReads: ReadonlyArray<ReadId>
  /** A snapshot to fetch from the leader; the same one may be named again. */
  readonly fetch: { readonly from: NodeId; readonly meta: SnapshotMeta } | undefined
  /** Present when it changed. */
  readonly soft: SoftState | undefined
}

/** What a leader knows of one other member. */
export interface PeerStatus {
  readonly id: NodeId
  readonly voter: boolean
  readonly match: number
  readonly next: number
  readonly state: "probe" | "replicate" | "snapshot"
  readonly inFlight: number
  /** It says that it lost what it had acknowledged. */
  readonly quarantined: boolean
  /** Ticks since it was last heard. */
  readonly silentTicks: number
}

export interface CoreStatus extends SoftState {
  readonly id: NodeId
  readonly vote: NodeId
  readonly commit: number
  /** Given out to be applied, up to and including. */
  readonly applying: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly lastTerm: number
  /** Durable here, up to and including. */
  readonly durable: number
  readonly configuration: Configuration
  /** The entry that brought the configuration; it is uncommitted while `configurationIndex > commit`. */
  readonly configurationIndex: number
  readonly transferringTo: NodeId | undefined
  /** Ticks since this member last knew who leads: a follower heard the leader, a leader a majority. */
  readonly silentTicks: number
  /** Only a leader has peers. */
  readonly peers: ReadonlyArray<PeerStatus>
}

export interface CoreOptions {
  readonly id: NodeId
  readonly recovered: Pick<Recovered, "hardState" | "commitHint" | "snapshot" | "entries">
  /** Who is in the group as long as neither log nor snapshot say: the founders, or `nobody` for one that joins. */
  readonly initial: Configuration
  readonly settings: CoreSettings
  /** Chance, for election timeouts. */
  readonly chance: FreshState
  /** Listens only, and why. */
  readonly quarantined?: string
}

export interface RaftCore {
  /** Time passes. Before a tick, everything that has arrived is stepped; at most one tick a turn. */
  tick(): void
  /** A message arrived. */
  step(message: CoreMessage): void
  /** Appends all of `batch`, or none. */
  propose(batch: ReadonlyArray<Proposed>): ProposeResult
  /** `force` allows a change that leaves fewer reachable voters than the next decision needs. */
  proposeConfig(change: ConfigChange, force?: boolean): ConfigResult
  /** Answered by `Ready.reads` or `Ready.lostReads`; false when this member does not lead. */
  readIndex(id: ReadId): boolean
  /** Without `to`: to whoever has most of the log. Given up after an election timeout. */
  transferLeadership(to?: NodeId): TransferResult
  /** The process of `node` ended, as NATS saw and a look confirmed. Only ever shortens waiting. */
  hintPeerGone(node: NodeId): void
  /** What was sent to `node` may have been lost. */
  unreachable(node: NodeId): void
  /** The write of this token is durable. Tokens come in order. */
  persisted(token: number): void
  /** A fetched snapshot is complete and verified: its `Persist` follows. False when it is no longer of use. */
  install(meta: SnapshotMeta): boolean
  /** There was no room for the snapshot of this write; what was to be written with it is durable. */
  unplaced(token: number): void
  /** There may be room for it now: its `Persist` follows, under another token, with the votes of the meantime. */
  placeAgain(): void
  /** That this member is in quarantine is durable here. */
  marked(): void
  /** A snapshot of the state after `meta.index` is durable here; the log before it may go. */
  compact(meta: SnapshotMeta): void
  /** The configuration after entry `index` was applied, as it belongs into a snapshot. */
  configurationAt(index: number): Configuration
  /**
   * Undefined when there is nothing to do. With `holdCommit`, how far may be applied makes no message of its own: the
   * next entries, which a leader's callers often have within a moment, carry it along.
   */
  ready(holdCommit?: boolean): Ready | undefined
  /** Somebody was not told yet how far it may apply. */
  holdsCommit(): boolean
  isLeader(): boolean
  term(): number
  /** Its removal is committed: it is not heard any more. */
  wasRemoved(node: NodeId): boolean
  status(): CoreStatus
}
