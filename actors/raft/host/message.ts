/** What members' hosts say to each other besides agreeing: proposals and reads on their way to the leader, snapshots. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import type { ReadId } from "#actors/raft/core/protocol.ts"
import type { ProposalId } from "#actors/raft/protocol.ts"

interface Letter {
  readonly from: NodeId
  readonly to: NodeId
  readonly term: number
}

/** Please append these, each with the id under which it is known everywhere. */
export interface Forward extends Letter {
  readonly _tag: "Forward"
  readonly proposals: ReadonlyArray<{ readonly id: ProposalId; readonly data: Uint8Array }>
}

/** These were not appended. What was, shows in the log. */
export interface ForwardRefused extends Letter {
  readonly _tag: "ForwardRefused"
  readonly reason: "not-leader" | "overloaded"
  readonly leader: NodeId
  /** Of the sender's boot. */
  readonly boot: string
  readonly seqs: ReadonlyArray<number>
}

/** How far must I have applied to answer what I was asked before now? `boot` tells restarts of the asker apart. */
export interface ReadAsk extends Letter {
  readonly _tag: "ReadAsk"
  readonly boot: string
  readonly id: ReadId
}
/** `index` is 0 when there is no answer: the asked one does not lead. */
export interface ReadAnswer extends Letter {
  readonly _tag: "ReadAnswer"
  readonly boot: string
  readonly id: ReadId
  readonly index: number
}

/** Chunks `chunk` to `chunk + count - 1` of the snapshot of (`index`, `snapshotTerm`), please. */
export interface SnapshotAsk extends Letter {
  readonly _tag: "SnapshotAsk"
  readonly index: number
  readonly snapshotTerm: number
  readonly chunk: number
  readonly count: number
}
/** `checksum` covers all chunks up to and including this one. `last`: there is none after it. */
export interface SnapshotChunk extends Letter {
  readonly _tag: "SnapshotChunk"
  readonly index: number
  readonly snapshotTerm: number
  readonly chunk: number
  readonly last: boolean
  readonly checksum: number
  readonly data: Uint8Array
}
/** That snapshot is no longer here; wait for another offer. */
export interface SnapshotGone extends Letter {
  readonly _tag: "SnapshotGone"
  readonly index: number
  readonly snapshotTerm: number
}

export type HostMessage =
  | Forward
  | ForwardRefused
  | ReadAsk
  | ReadAnswer
  | SnapshotAsk
  | SnapshotChunk
  | SnapshotGone

export type Message = CoreMessage | HostMessage

/** Which of a member's lanes a message takes: bulk never delays the others. */
export type Lane = "control" | "append" | "bulk"

export function laneOf(message: Message): Lane {
  switch (message._tag) {
    case "Append":
    case "Forward":
      return "append"
    case "SnapshotChunk":
      return "bulk"
    default:
      return "control"
  }
}
