/** Consensus, whole: see `protocol.ts` for what it promises, the verbs beside it for how. */
import { install, releaseAcks } from "#actors/raft/core/accept.ts"
import { propose } from "#actors/raft/core/append.ts"
import { isVoter, type NodeId, wasRemoved } from "#actors/raft/core/configuration.ts"
import { releaseVotes } from "#actors/raft/core/elect.ts"
import { compact, persisted, placeAgain, takePersist, unplaced } from "#actors/raft/core/persist.ts"
import type {
  CoreOptions,
  CoreStatus,
  PeerStatus,
  RaftCore,
  Ready,
  SoftState
} from "#actors/raft/core/protocol.ts"
import { reachedByQuorum } from "#actors/raft/core/quorum.ts"
import { askRead, beginRound } from "#actors/raft/core/read.ts"
import { reconfigure } from "#actors/raft/core/reconfigure.ts"
import { holdsCommit, replicate } from "#actors/raft/core/replicate.ts"
import {
  begin,
  committedConfigurationOf,
  configurationIndexOf,
  configurationOf,
  type State,
  tellQuarantined
} from "#actors/raft/core/state.ts"
import { step } from "#actors/raft/core/step.ts"
import { hintGone, lost, tick } from "#actors/raft/core/tick.ts"
import { resign, transfer } from "#actors/raft/core/transfer.ts"
import type { Entry } from "#actors/raft/entry.ts"
import { assert } from "#runtime/assert.ts"

/** A member as the disk knows it; it follows until it hears or misses a leader. */
export function openCore(options: CoreOptions): RaftCore {
  const state = begin(options)
  return {
    tick: () => tick(state),
    step: (message) => step(state, message),
    propose: (batch) => propose(state, batch),
    proposeConfig: (change, force = false) => reconfigure(state, change, force),
    readIndex: (id) => askRead(state, id),
    transferLeadership: (to) => transfer(state, to),
    hintPeerGone: (node) => hintGone(state, node),
    unreachable: (node) => lost(state, node),
    persisted: (token) => persisted(state, token),
    install: (meta) => install(state, meta),
    unplaced: (token) => unplaced(state, token),
    placeAgain: () => placeAgain(state),
    marked: () => {
      state.marked = true
      tellQuarantined(state)
    },
    compact: (meta) => compact(state, meta),
    configurationAt: (index) => {
      const known = state.configurations.findLast((at) => at.index <= index)
      assert(known !== undefined, "the configuration of an index since the snapshot is known")
      return known.configuration
    },
    ready: (holdCommit = false) => ready(state, holdCommit),
    holdsCommit: () => state.role === "leader" && holdsCommit(state),
    isLeader: () => state.role === "leader",
    term: () => state.term,
    wasRemoved: (node) => wasRemoved(committedConfigurationOf(state), node),
    status: () => statusOf(state)
  }
}

function ready(state: State, holdCommit: boolean): Ready | undefined {
  releaseVotes(state)
  if (state.role === "leader") {
    beginRound(state)
    replicate(state, holdCommit && !state.resigning)
    // After the message that says what was committed.
    if (state.resigning) resign(state)
  }
  releaseAcks(state)
  const persist = takePersist(state)
  const committed = takeCommitted(state)
  const soft = changedSoft(state)
  const { outbox: messages, reads, lostReads, fetch } = state
  const isIdle =
    persist === undefined &&
    soft === undefined &&
    fetch === undefined &&
    messages.length + committed.length + reads.length + lostReads.length === 0
  if (isIdle) return undefined
  state.outbox = []
  state.reads = []
  state.lostReads = []
  state.fetch = undefined
  return { persist, messages, committed, reads, lostReads, fetch, soft }
}

const none: ReadonlyArray<Entry> = []

/** What is not durable here is not applied here: a member that comes back has at least what it had applied. */
function takeCommitted(state: State): ReadonlyArray<Entry> {
  const last = Math.min(state.commit, state.durable)
  if (last <= state.applying) return none
  const { applyBytes, applyEntries } = state.settings
  const entries = state.log.slice(state.applying + 1, last, applyBytes, applyEntries)
  state.applying += entries.length
  return entries
}

function changedSoft(state: State): SoftState | undefined {
  const { role, term, leader, quarantined, removed, softTold: told } = state
  const isSame =
    told !== undefined &&
    told.role === role &&
    told.term === term &&
    told.leader === leader &&
    told.quarantined === quarantined &&
    told.removed === removed
  if (isSame) return undefined
  state.softTold = { role, term, leader, quarantined, removed }
  return state.softTold
}

/** The tick at which a leader last had a majority's word, or a member its leader's. */
function lastSure(state: State): number {
  if (state.role !== "leader") return state.leaderHeardAt
  const heardAt = (voter: NodeId): number =>
    voter === state.id ? state.now : (state.peers.get(voter)?.heardAt ?? 0)
  return reachedByQuorum(configurationOf(state), heardAt)
}

function statusOf(state: State): CoreStatus {
  const configuration = configurationOf(state)
  const peers: Array<PeerStatus> = []
  for (const [id, peer] of state.peers) {
    peers.push({
      id,
      voter: isVoter(configuration, id),
      match: peer.match,
      next: peer.next,
      state: peer.state,
      inFlight: peer.inFlight,
      quarantined: peer.quarantined,
      silentTicks: state.now - peer.heardAt
    })
  }
  return {
    id: state.id,
    role: state.role,
    term: state.term,
    vote: state.vote,
    leader: state.leader,
    quarantined: state.quarantined,
    removed: state.removed,
    commit: state.commit,
    applying: state.applying,
    firstIndex: state.log.firstIndex,
    lastIndex: state.log.lastIndex,
    lastTerm: state.log.lastTerm,
    durable: state.durable,
    configuration,
    configurationIndex: configurationIndexOf(state),
    transferringTo: state.transferee,
    silentTicks: state.now - lastSure(state),
    peers
  }
}
