/**
 * The log that managers agree on, as its users see it: a sequence of byte strings, each applied once, in order.
 *
 * It knows no nouns. What the bytes mean is the state machine's business (`actors/ledger/`).
 */
import { Context, Effect, type Scope } from "effect"
import type { Gauges } from "#actors/raft/gauges.ts"
import type { HostStatus } from "#actors/raft/host/protocol.ts"
import type { StorageStatus, WrapWith } from "#actors/raft/storage.ts"

/** Makes a proposal recognisable when it is sent again: applied once per (proposer, boot, seq). */
export interface ProposalId {
  /** The node that proposes. */
  readonly proposer: string
  /** Random per process start. */
  readonly boot: string
  /** Grows by one per proposal of that boot. */
  readonly seq: number
}

/**
 * How a proposal ends, exactly once.
 *
 * `Unknown`: it may or may not have been applied (lost leadership, deadline); ask the ledger, or propose again
 * under the same id; `isRefused` where whoever leads said no, for what `message` says. `NotLeader`: certainly not applied. `Overloaded`: certainly not applied, try later.
 */
export type ProposeOutcome =
  | { readonly _tag: "Applied"; readonly index: number; readonly result: unknown }
  | { readonly _tag: "Unknown"; readonly message: string; readonly isRefused?: true }
  | { readonly _tag: "NotLeader"; readonly leader?: string }
  | { readonly _tag: "Overloaded"; readonly message: string }

/** Deterministic: the same entries in the same order give the same state and the same results. */
export interface StateMachine {
  /** Applies one committed entry and returns its result for the proposer. Throws to halt the member. */
  readonly apply: (index: number, data: Uint8Array) => unknown
  /** Freezes the state as of the last applied entry and yields it in chunks of at most 64 KiB or so. */
  readonly snapshot: () => Iterable<Uint8Array>
  /** Replaces the whole state by a snapshot's chunks. */
  readonly restore: (chunks: Iterable<Uint8Array>) => void
  /** The same for states of any size, in pieces of a few milliseconds: what was there stays until the last of them. */
  readonly restoreInSteps?: (chunks: Iterable<Uint8Array>) => Iterable<void>
}

export type Leadership =
  | { readonly _tag: "Leading"; readonly term: number }
  | { readonly _tag: "Following"; readonly term: number; readonly leader?: string }

export interface RaftStatus {
  readonly nodeId: string
  readonly role: "leader" | "follower" | "candidate" | "learner" | "quarantined" | "locked"
  readonly term: number
  readonly leader?: string
  readonly commit: number
  readonly applied: number
  readonly lastIndex: number
  readonly snapshotIndex: number
  readonly diskBytes: number
  /** Why this member takes no part, when it does not. */
  readonly problem?: string
  /**
   * How long ago, in milliseconds, it last knew who leads: a follower heard the leader, a leader a majority. What was
   * committed since, and what it has not applied yet, is missing in its state. Absent where nobody is to be heard.
   */
  readonly ageMs?: number
}

/** What a member measures of itself. */
export interface RaftFigures {
  readonly status: RaftStatus
  readonly host: HostStatus
  readonly storage: StorageStatus
  readonly gauges: Gauges
}

/** One member as another one sees it. `reachable` is only known to the leader, and true of itself. */
export interface MemberView {
  readonly id: string
  readonly voter: boolean
  readonly reachable: boolean
}

/** `settled`: no change of the group is under way. `removed` are names that never come back. */
export interface GroupView {
  readonly members: ReadonlyArray<MemberView>
  readonly removed: ReadonlyArray<string>
  readonly settled: boolean
}

/** One node joins, as a learner that is promoted once it has caught up, or leaves for good. */
export type GroupChange =
  | { readonly _tag: "AddLearner"; readonly node: string }
  | { readonly _tag: "Remove"; readonly node: string }

/** `Changed`: committed. `Unknown`: leadership was lost before that was known. All others: nothing was changed. */
export type ChangeOutcome =
  | { readonly _tag: "Changed" }
  | { readonly _tag: "Refused"; readonly reason: string }
  | { readonly _tag: "NotLeader" }
  | { readonly _tag: "Unknown" }

/** Who is in the group, and who leads it. */
export interface GroupService {
  readonly view: () => GroupView
  /** Only the leader can. `force` allows what leaves too few reachable voters for the next decision. */
  readonly change: (change: GroupChange, force?: boolean) => Effect.Effect<ChangeOutcome>
  /** Hands leadership over, to whoever has most of the log; false when nobody took it. */
  readonly handOver: Effect.Effect<boolean>
}

export interface RaftService {
  /**
   * Calls `done` once, after the entry is durable on a quorum and applied here, or has failed. With `onlyInTerm` it
   * counts only as an entry of that term: what this member decided as its leader, nobody takes over.
   */
  readonly propose: (
    data: Uint8Array,
    id: ProposalId,
    done: (outcome: ProposeOutcome) => void,
    onlyInTerm?: number
  ) => void
  /** Completes when this member has applied everything that was committed when it was asked. */
  readonly readIndex: Effect.Effect<number, NoLeader>
  readonly status: () => RaftStatus
  readonly leadership: () => Leadership
  /** Told of every change, in order; told the present state at once. */
  readonly onLeadership: (listen: (leadership: Leadership) => void) => { readonly unsubscribe: () => void }
  /** Takes a snapshot now and drops the log it covers. */
  readonly compact: Effect.Effect<void>
  /**
   * Takes a snapshot after so many entries from now on, as its own settings say where that is undefined. Absent where
   * there are none.
   */
  readonly snapshotEvery?: (entries: number | undefined) => void
  /** Keeps so many snapshots on disk beside the newest from now on, though one at least. Absent where there is no disk. */
  readonly keepSnapshots?: (old: number) => void
  /** Lets another key open the log on disk. Absent where there is none. */
  readonly wrapKeys?: (wrap: WrapWith) => Effect.Effect<void>
  /** Absent where there is nothing to measure: no disk, or no part in the group. */
  readonly figures?: () => RaftFigures
  readonly group: GroupService
}

/** The group of a member that is alone and stays so. */
export const aloneAs = (id: string): GroupService => ({
  view: () => ({ members: [{ id, voter: true, reachable: true }], removed: [], settled: true }),
  change: () => Effect.succeed({ _tag: "Refused", reason: "this log has one member and takes no other" }),
  handOver: Effect.succeed(false)
})

export class NoLeader extends Error {
  readonly _tag = "NoLeader"
  override readonly name = "NoLeader"
}

/** `readIndex`, of a member that tells by a call how far it has applied, or that nobody leads. */
export const readIndexBy = (
  ask: (done: (answer: number | NoLeader) => void) => void
): RaftService["readIndex"] =>
  Effect.callback((resume) =>
    ask((answer) => resume(typeof answer === "number" ? Effect.succeed(answer) : Effect.fail(answer)))
  )

export class Raft extends Context.Service<Raft, RaftService>()("troupe/actors/raft/Raft") {}

/** Opens the log in `directory`, restores `machine`, and serves until the scope closes. */
export type OpenRaft<E> = (options: {
  readonly directory: string
  readonly clusterId: string
  readonly nodeId: string
  readonly machine: StateMachine
}) => Effect.Effect<RaftService, E, Scope.Scope>
