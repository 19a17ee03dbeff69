/** The leader's side of the log: who gets what next, what their answers mean, what is committed. */
import { isVoter, type NodeId } from "#actors/raft/core/configuration.ts"
import { bytesOf } from "#actors/raft/core/log.ts"
import type { AppendReply, HeartbeatReply } from "#actors/raft/core/message.ts"
import type { Progress } from "#actors/raft/core/progress.ts"
import { reachedByQuorum } from "#actors/raft/core/quorum.ts"
import { configurationIndexOf, configurationOf, type State } from "#actors/raft/core/state.ts"
import type { Entry } from "#actors/raft/entry.ts"
import { assert } from "#runtime/assert.ts"

/**
 * Sends every peer what it may have now: once a turn, so that everything of the turn shares one message. With
 * `holdCommit`, nobody is told the commit index alone.
 */
export function replicate(state: State, holdCommit: boolean): void {
  let shared: Shared | undefined
  for (const [id, peer] of state.peers) {
    shared = sendTo(state, id, peer, shared, holdCommit)
    peer.poke = false
  }
}

/** Somebody who follows closely does not know yet how far it may apply. */
export function holdsCommit(state: State): boolean {
  for (const peer of state.peers.values()) {
    if (peer.state === "replicate" && peer.commitSent < state.commit) return true
  }
  return false
}

/** Peers that are equally far get the same entries, cut once. */
interface Shared {
  readonly from: number
  readonly entries: ReadonlyArray<Entry>
}

function sendTo(
  state: State,
  to: NodeId,
  peer: Progress,
  known: Shared | undefined,
  holdCommit: boolean
): Shared | undefined {
  const { log, settings } = state
  let shared = known
  if (peer.state === "snapshot") {
    if (peer.poke) offer(state, to, peer)
    return shared
  }
  while (true) {
    const isProbe = peer.state === "probe"
    if (isProbe && peer.probing) return shared
    const prevIndex = peer.next - 1
    const prevTerm = log.termAt(prevIndex)
    if (prevTerm === undefined) {
      peer.become("snapshot", peer.next)
      offer(state, to, peer)
      return shared
    }
    const isFull = peer.inFlight >= settings.inFlightMessages || peer.inFlightBytes >= settings.inFlightBytes
    let entries: ReadonlyArray<Entry> = []
    if (peer.next <= log.lastIndex && (isProbe || !isFull)) {
      if (shared?.from !== peer.next) {
        shared = { from: peer.next, entries: log.slice(peer.next, log.lastIndex, settings.appendBytes) }
      }
      entries = shared.entries
    }
    const isTold = holdCommit || peer.commitSent >= state.commit
    if (entries.length === 0 && !isProbe && !peer.poke && isTold) return shared
    state.outbox.push({
      _tag: "Append",
      from: state.id,
      to,
      term: state.term,
      prevIndex,
      prevTerm,
      commit: state.commit,
      quiet: entries.length === 0 && !isProbe && !peer.poke,
      entries
    })
    peer.poke = false
    if (isProbe) {
      peer.probing = true
      return shared
    }
    peer.commitSent = state.commit
    if (entries.length === 0) return shared
    const last = prevIndex + entries.length
    let bytes = 0
    for (const entry of entries) bytes += bytesOf(entry)
    peer.sent(last, bytes)
    peer.next = last + 1
  }
}

function offer(state: State, to: NodeId, peer: Progress): void {
  const { snapshot } = state
  assert(snapshot !== undefined, "what the log lacks is in a snapshot")
  assert(snapshot.index >= state.log.firstIndex - 1, "log and snapshot meet")
  peer.offered = snapshot.index
  state.outbox.push({
    _tag: "SnapshotOffer",
    from: state.id,
    to,
    term: state.term,
    index: snapshot.index,
    snapshotTerm: snapshot.term,
    config: snapshot.config
  })
}

/** Asks everybody whether this member still leads, and tells how far they may apply. */
export function beat(state: State, onlyVoters: boolean): void {
  const configuration = configurationOf(state)
  for (const [to, peer] of state.peers) {
    if (onlyVoters && !isVoter(configuration, to)) continue
    // Beyond what it acknowledged, its log may be another leader's.
    const commit = Math.min(peer.match, state.commit)
    peer.commitSent = Math.max(peer.commitSent, commit)
    state.outbox.push({
      _tag: "Heartbeat",
      from: state.id,
      to,
      term: state.term,
      commit,
      read: state.readSeq
    })
    if (peer.match > state.commit)
      state.outbox.push({ _tag: "Acknowledged", from: state.id, to, term: state.term, index: peer.match })
  }
}

export function onAppendReply(state: State, message: AppendReply): void {
  const peer = state.peers.get(message.from)
  if (peer === undefined || peer.quarantined) return
  peer.heardAt = state.now
  if (message.accepted) accepted(state, message.from, peer, message.index)
  else refused(state, peer, message)
}

function accepted(state: State, from: NodeId, peer: Progress, index: number): void {
  // Nobody can have acknowledged what was never sent.
  if (index > state.log.lastIndex) return
  const isAnswer = index > peer.match || (index === peer.match && peer.state === "probe")
  if (!isAnswer) return
  peer.match = Math.max(peer.match, index)
  if (peer.state === "replicate") {
    peer.freeTo(index)
    peer.next = Math.max(peer.next, index + 1)
  } else if (peer.state === "probe" || index + 1 >= state.log.firstIndex) {
    peer.become("replicate", index + 1)
  }
  advanceCommit(state)
  if (state.transferee === from) handOverTo(state, from, peer)
}

/** Goes back to where the logs may agree: at most one probe for each term in which they differ. */
function refused(state: State, peer: Progress, message: AppendReply): void {
  if (peer.state === "replicate") {
    if (message.index <= peer.match) return
    peer.become("probe", peer.match + 1)
    return
  }
  if (peer.state !== "probe" || message.index !== peer.next - 1) return
  const agreed = Math.min(message.index - 1, message.hintIndex)
  const hint = state.log.lastUpToTerm(agreed, message.hintTerm)
  peer.become("probe", Math.max(Math.min(message.index, hint + 1), peer.match + 1))
}

export function onHeartbeatReply(state: State, message: HeartbeatReply): void {
  const peer = state.peers.get(message.from)
  if (peer === undefined || peer.quarantined) return
  peer.heardAt = state.now
  if (message.read <= state.readSeq) peer.readAcked = Math.max(peer.readAcked, message.read)
  // Whatever was on its way may be lost; one message, even an empty one, brings that to light.
  peer.probing = false
  if (peer.match < state.log.lastIndex) peer.poke = true
  if (state.transferee === message.from) handOverTo(state, message.from, peer)
}

/** What a quorum has is committed, if it is of this term: Raft §5.4.2. */
export function advanceCommit(state: State): void {
  if (state.role !== "leader") return
  const matchOf = (voter: NodeId): number =>
    voter === state.id ? state.durable : (state.peers.get(voter)?.match ?? 0)
  const index = reachedByQuorum(configurationOf(state), matchOf)
  if (index > state.commit && state.log.termAt(index) === state.term) commitTo(state, index)
}

/** Everything up to `index` is committed. */
export function commitTo(state: State, index: number): void {
  if (index <= state.commit) return
  assert(index <= state.log.lastIndex, "nothing is committed that is not in the log")
  if (state.role === "leader") {
    for (let at = state.commit + 1; at <= index; at++) state.uncommittedBytes -= bytesOf(state.log.at(at))
  }
  state.commit = index
  // A leader that its group voted out leads until that is settled, and no longer.
  if (state.role === "leader" && index >= configurationIndexOf(state)) {
    if (!isVoter(configurationOf(state), state.id)) state.resigning = true
  }
}

/** Tells the receiver of the leadership to campaign, once it has everything. */
export function handOverTo(state: State, to: NodeId, peer: Progress): void {
  if (peer.match < state.log.lastIndex) return
  state.outbox.push({ _tag: "TimeoutNow", from: state.id, to, term: state.term })
}

/** The voter that has most of the log, among those that were heard lately. */
export function bestSuccessor(state: State): NodeId | undefined {
  let best: NodeId | undefined
  let match = -1
  for (const [id, peer] of state.peers) {
    const isSilent = state.now - peer.heardAt >= state.settings.electionTicks
    if (isSilent || peer.match <= match || !isVoter(configurationOf(state), id)) continue
    best = id
    match = peer.match
  }
  return best
}
