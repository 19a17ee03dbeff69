/** All that a member's core remembers. The verbs beside this file change it in place; nobody else does. */
import {
  type Configuration,
  decodeConfiguration,
  encodeConfiguration,
  isVoter,
  type NodeId
} from "#actors/raft/core/configuration.ts"
import { Log } from "#actors/raft/core/log.ts"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import type { Progress } from "#actors/raft/core/progress.ts"
import type { CoreOptions, ReadId, ReadState, Role, SoftState } from "#actors/raft/core/protocol.ts"
import { type CoreSettings, settingsProblem } from "#actors/raft/core/settings.ts"
import { entryType, type HardState } from "#actors/raft/entry.ts"
import type { SnapshotMeta } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"
import { Fresh } from "#runtime/ids.ts"

/** A configuration and the entry that brought it; 0 for the one that no entry brought. */
export interface ConfigurationAt {
  readonly index: number
  readonly configuration: Configuration
}

/** A write on its way. `lastIndex` is how far the log is durable after it, unless it is cut meanwhile. */
export interface Writing {
  readonly token: number
  readonly hardState: HardState
  lastIndex: number
  readonly snapshot: SnapshotMeta | undefined
  readonly since: number
}

export interface ReadRound {
  readonly seq: number
  readonly index: number
  readonly ids: ReadonlyArray<ReadId>
}

export interface State {
  readonly id: NodeId
  readonly settings: CoreSettings
  readonly chance: Fresh

  term: number
  vote: NodeId
  role: Role
  leader: NodeId | undefined
  quarantined: string | undefined
  /** The disk knows of the quarantine: it is for good. */
  marked: boolean
  removed: boolean

  readonly log: Log
  commit: number
  /** Given out to be applied. */
  applying: number
  snapshot: SnapshotMeta | undefined
  /** The one in force last, and those before it down to that of the snapshot. Never empty. */
  configurations: Array<ConfigurationAt>
  /** Whether the first of them is only what this member was started with. */
  implicit: boolean

  now: number
  /** Ticks since this member last had a reason not to campaign. */
  elapsed: number
  timeout: number
  /** When the leader was last heard. */
  leaderHeardAt: number
  votes: Map<NodeId, boolean>
  /** A candidacy whose requests wait for the disk. */
  candidacy: { readonly transfer: boolean } | undefined
  /** A vote that was given and waits for the disk. */
  owedVote: NodeId | undefined
  /** When the present vote, its own or another's, was given to the disk. */
  votedAt: number

  peers: Map<NodeId, Progress>
  /** The first entry of a leader's own term. */
  termStart: number
  uncommittedBytes: number
  transferee: NodeId | undefined
  transferEnds: number
  /** It hands over after what is to be sent was sent. */
  resigning: boolean

  readSeq: number
  readsAsked: Array<ReadId>
  readRounds: Array<ReadRound>
  reads: Array<ReadState>
  lostReads: Array<ReadId>

  /** How far the log agrees with this term's leader, compared in this life, and how much of that it was told. */
  ackIndex: number
  ackSent: number
  ackOwed: boolean
  /** How far this term's leader says that it was told so, perhaps in an earlier life. */
  ackClaimed: number

  token: number
  writing: Array<Writing>
  /** Handed to the disk, up to and including. */
  written: number
  durable: number
  truncateFrom: number | undefined
  hardHanded: HardState
  hardDurable: HardState
  installing: SnapshotMeta | undefined
  /** There was no room for it: it is tried again when the host says so. */
  unplaced: SnapshotMeta | undefined

  outbox: Array<CoreMessage>
  fetch: { readonly from: NodeId; readonly meta: SnapshotMeta } | undefined
  softTold: SoftState | undefined
}

/** Begins as a follower, with what the disk had kept. */
export function begin(options: CoreOptions): State {
  const { id, recovered, settings } = options
  const problem = settingsProblem(settings)
  assert(problem === undefined, `the settings of consensus are sound: ${problem}`)
  const { hardState, snapshot } = recovered
  const log = new Log(snapshot?.index ?? 0, snapshot?.term ?? 0, recovered.entries)
  assert(log.lastTerm <= hardState.term, "no entry is of a later term than the member's own")
  const chance = new Fresh(options.chance)
  const explicit = snapshot !== undefined && snapshot.config.length > 0
  const state: State = {
    id,
    settings,
    chance,
    term: hardState.term,
    vote: hardState.vote,
    role: "follower",
    leader: undefined,
    quarantined: options.quarantined,
    marked: options.quarantined !== undefined,
    removed: false,
    log,
    // What was once known to be committed stays so.
    commit: Math.max(snapshot?.index ?? 0, Math.min(recovered.commitHint, log.lastIndex)),
    applying: snapshot?.index ?? 0,
    // The log of a lone member from before there were groups says nothing of one.
    snapshot:
      snapshot === undefined || explicit
        ? snapshot
        : { ...snapshot, config: encodeConfiguration(options.initial) },
    configurations: [
      explicit
        ? { index: snapshot.index, configuration: decodeConfiguration(snapshot.config) }
        : { index: 0, configuration: options.initial }
    ],
    implicit: !explicit,
    now: 0,
    elapsed: 0,
    timeout: settings.electionTicks + chance.below(settings.electionTicks),
    leaderHeardAt: 0,
    votes: new Map(),
    candidacy: undefined,
    owedVote: undefined,
    votedAt: 0,
    peers: new Map(),
    termStart: 0,
    uncommittedBytes: 0,
    transferee: undefined,
    transferEnds: 0,
    resigning: false,
    readSeq: 0,
    readsAsked: [],
    readRounds: [],
    reads: [],
    lostReads: [],
    ackIndex: 0,
    ackSent: 0,
    ackOwed: false,
    ackClaimed: 0,
    token: 0,
    writing: [],
    written: log.lastIndex,
    durable: log.lastIndex,
    truncateFrom: undefined,
    hardHanded: hardState,
    hardDurable: hardState,
    installing: undefined,
    unplaced: undefined,
    outbox: [],
    fetch: undefined,
    softTold: undefined
  }
  for (const entry of recovered.entries) {
    if (entry.type !== entryType.config) continue
    state.configurations.push({ index: entry.index, configuration: decodeConfiguration(entry.data) })
  }
  return state
}

/** The configuration in force: the last in the log, committed or not. */
export const configurationOf = (state: State): Configuration =>
  (state.configurations[state.configurations.length - 1] as ConfigurationAt).configuration

export const configurationIndexOf = (state: State): number =>
  (state.configurations[state.configurations.length - 1] as ConfigurationAt).index

/** The last configuration that is known to be committed; the first one of all counts as such. */
export function committedConfigurationOf(state: State): Configuration {
  const { configurations, commit } = state
  let at = configurations.length - 1
  while (at > 0 && (configurations[at] as ConfigurationAt).index > commit) at--
  return (configurations[at] as ConfigurationAt).configuration
}

/** The first write has been on its way for too long. */
export const isDiskStuck = (state: State): boolean =>
  state.writing.length > 0 && state.now - (state.writing[0] as Writing).since >= state.settings.diskStuckTicks

/** A vote is on its way to the disk: until it is there, nothing can be said of how this election goes. */
export const isVoting = (state: State): boolean =>
  state.candidacy !== undefined || state.owedVote !== undefined

export const mayCampaign = (state: State): boolean =>
  state.quarantined === undefined &&
  !state.removed &&
  !isInstalling(state) &&
  !isDiskStuck(state) &&
  (isVoter(configurationOf(state), state.id) || mayHaveToLeadOut(state))

/** A fetched snapshot is on its way to the disk, or finds no room there. */
export const isPlacing = (state: State): boolean =>
  state.unplaced !== undefined || state.writing.some(({ snapshot }) => snapshot !== undefined)

/** A fetched snapshot is to take the place of the log, and is not durable yet. */
const isInstalling = (state: State): boolean => state.installing !== undefined || isPlacing(state)

/**
 * The group may be voting this member out, and the entry that says so may be here alone: the others would wait for its
 * vote, and their logs are older. It leads, without a vote of its own, until that is settled. Raft §4.2.2.
 */
function mayHaveToLeadOut(state: State): boolean {
  const before = state.configurations.at(-2)
  return (
    before !== undefined &&
    configurationIndexOf(state) > state.commit &&
    isVoter(before.configuration, state.id)
  )
}

/** Cuts the log before `from`, and with it whatever rested on what is cut. */
export function cutLog(state: State, from: number): void {
  assert(from > state.commit, "what is committed is never cut")
  state.log.truncate(from)
  while (configurationIndexOf(state) >= from) state.configurations.pop()
  assert(state.configurations.length > 0, "there is always a configuration")
  // A write on its way may still become durable, but what it says about the cut part is worth nothing.
  for (const writing of state.writing) writing.lastIndex = Math.min(writing.lastIndex, from - 1)
  state.durable = Math.min(state.durable, from - 1)
  if (from <= state.written) {
    state.truncateFrom = Math.min(state.truncateFrom ?? from, from)
    state.written = from - 1
  }
}

/** Takes part no longer, because of what it found about itself. */
export function quarantine(state: State, reason: string): void {
  state.quarantined = reason
  state.role = "follower"
  state.outbox = []
}

/**
 * Tells whoever leads, once that is for good. A leader hears nothing more of a member that has said it, and reminds it
 * of nothing: one that forgot it with the next start would wait for ever.
 */
export function tellQuarantined(state: State): void {
  const { id, leader, term } = state
  if (!state.marked || leader === undefined) return
  state.outbox.push({ _tag: "Quarantined", from: id, to: leader, term })
}
