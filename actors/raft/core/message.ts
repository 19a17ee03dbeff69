/**
 * What members say to each other to agree. Any of these may be lost, repeated, reordered or minutes late.
 *
 * `from` was checked against the subject, and the cluster and incarnation against ours, before a message gets here.
 */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { Entry } from "#actors/raft/entry.ts"

interface Letter {
  readonly from: NodeId
  readonly to: NodeId
  /** The sender's term; for `PreVote`, and for a `PreVoteReply` that grants, the term that is asked about. */
  readonly term: number
}

/** Would you vote for me? Changes nothing at the receiver. */
export interface PreVote extends Letter {
  readonly _tag: "PreVote"
  readonly lastIndex: number
  readonly lastTerm: number
}
export interface PreVoteReply extends Letter {
  readonly _tag: "PreVoteReply"
  readonly granted: boolean
}

/** `transfer`: the leader asked for this election, its lease does not count. */
export interface Vote extends Letter {
  readonly _tag: "Vote"
  readonly lastIndex: number
  readonly lastTerm: number
  readonly transfer: boolean
}
export interface VoteReply extends Letter {
  readonly _tag: "VoteReply"
  readonly granted: boolean
}

/**
 * Entries that follow (`prevIndex`, `prevTerm`), and how far the log is committed. `quiet`: only news of the commit, to be
 * answered only if the logs do not match.
 */
export interface Append extends Letter {
  readonly _tag: "Append"
  readonly prevIndex: number
  readonly prevTerm: number
  readonly commit: number
  readonly quiet: boolean
  readonly entries: ReadonlyArray<Entry>
}

/**
 * Accepted: everything up to `index` is as the leader has it, and durable. Refused: entry `index` of the leader's is not
 * here; the logs may agree at `hintIndex`, whose term here is `hintTerm`, or before it.
 */
export interface AppendReply extends Letter {
  readonly _tag: "AppendReply"
  readonly accepted: boolean
  readonly index: number
  readonly hintIndex: number
  readonly hintTerm: number
  readonly lastIndex: number
}

/** `commit` is never beyond what this receiver has acknowledged in this term. `read` is the newest question of who leads. */
export interface Heartbeat extends Letter {
  readonly _tag: "Heartbeat"
  readonly commit: number
  readonly read: number
}
export interface HeartbeatReply extends Letter {
  readonly _tag: "HeartbeatReply"
  readonly read: number
}

/**
 * You acknowledged everything up to `index` in this term, and it may count soon. Said only while it is not committed; a
 * member that lost it learns so before others rest on it. Older members do not know this message, and lose nothing.
 */
export interface Acknowledged extends Letter {
  readonly _tag: "Acknowledged"
  readonly index: number
}

/** My data are not what I acknowledged, in whatever term, and my disk knows it for good: count me for nothing. */
export interface Quarantined extends Letter {
  readonly _tag: "Quarantined"
}

/** The log no longer reaches back to where you are: fetch the snapshot of this index. */
export interface SnapshotOffer extends Letter {
  readonly _tag: "SnapshotOffer"
  readonly index: number
  readonly snapshotTerm: number
  readonly config: Uint8Array
}

/** Campaign now: the sender hands its leadership over. */
export interface TimeoutNow extends Letter {
  readonly _tag: "TimeoutNow"
}

/** You were removed from the group, and nothing that you send is heard. */
export interface Removed extends Letter {
  readonly _tag: "Removed"
}

export type CoreMessage =
  | PreVote
  | PreVoteReply
  | Vote
  | VoteReply
  | Append
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | Acknowledged
  | Quarantined
  | SnapshotOffer
  | TimeoutNow
  | Removed
