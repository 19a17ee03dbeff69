/** One message. Whatever it says, a member's term never falls and what is committed stays. */
import {
  onAcknowledged,
  onAppend,
  onHeartbeat,
  onSnapshotOffer,
  onTimeoutNow
} from "#actors/raft/core/accept.ts"
import { isMember, wasRemoved } from "#actors/raft/core/configuration.ts"
import { follow, isInLease, onPreVote, onPreVoteReply, onVote, onVoteReply } from "#actors/raft/core/elect.ts"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import { onReadConfirmed } from "#actors/raft/core/read.ts"
import { onAppendReply, onHeartbeatReply } from "#actors/raft/core/replicate.ts"
import {
  committedConfigurationOf,
  configurationOf,
  type State,
  tellQuarantined
} from "#actors/raft/core/state.ts"
import { assert, never } from "#runtime/assert.ts"

export function step(state: State, message: CoreMessage): void {
  if (message.to !== state.id || message.from === state.id) return
  assert(Number.isSafeInteger(message.term), "terms are exact")
  if (state.quarantined !== undefined) {
    listen(state, message)
    return
  }
  if (isBanned(state, message)) {
    if (message._tag === "PreVote" || message._tag === "Vote") tellRemoved(state, message.from)
    return
  }
  // What these say holds in whatever term they say it.
  if (message._tag === "Quarantined") {
    onQuarantined(state, message.from)
    return
  }
  if (message._tag === "Removed") {
    onRemoved(state, message.from)
    return
  }
  const isReply =
    message._tag === "PreVoteReply" ||
    message._tag === "VoteReply" ||
    message._tag === "AppendReply" ||
    message._tag === "HeartbeatReply"
  // Nothing was asked of strangers. What they ask may be right all the same: this member may not know of them yet.
  if (isReply && !isMember(configurationOf(state), message.from)) return

  if (message.term > state.term) {
    switch (message._tag) {
      case "PreVote":
        break
      case "PreVoteReply":
        // When granted, it names the term that was asked about.
        if (!message.granted) follow(state, message.term, undefined)
        break
      case "Vote":
        // Whoever still hears a leader lets no one else begin a term; unless the leader itself wants it.
        if (!message.transfer && isInLease(state, message.from)) return
        follow(state, message.term, undefined)
        break
      case "Append":
      case "Heartbeat":
      case "Acknowledged":
      case "SnapshotOffer":
      case "TimeoutNow":
        follow(state, message.term, message.from)
        break
      case "VoteReply":
      case "AppendReply":
      case "HeartbeatReply":
        follow(state, message.term, undefined)
        break
      default:
        never(message)
    }
  } else if (message.term < state.term) {
    onOldTerm(state, message)
    return
  }

  switch (message._tag) {
    case "PreVote":
      onPreVote(state, message)
      return
    case "PreVoteReply":
      onPreVoteReply(state, message)
      return
    case "Vote":
      onVote(state, message)
      return
    case "VoteReply":
      onVoteReply(state, message)
      return
    case "Append":
      hear(state, message.from)
      onAppend(state, message)
      return
    case "Heartbeat":
      hear(state, message.from)
      onHeartbeat(state, message)
      return
    case "Acknowledged":
      hear(state, message.from)
      onAcknowledged(state, message.index)
      return
    case "SnapshotOffer":
      hear(state, message.from)
      onSnapshotOffer(state, message)
      return
    case "TimeoutNow":
      onTimeoutNow(state, message)
      return
    case "AppendReply":
      if (state.role === "leader") onAppendReply(state, message)
      return
    case "HeartbeatReply":
      if (state.role !== "leader") return
      onHeartbeatReply(state, message)
      onReadConfirmed(state, message)
      return
    default:
      never(message)
  }
}

/**
 * Whoever was removed is not heard. A removal that is not committed may be taken back, and a leader that is voted out
 * still has to say that it is settled.
 */
function isBanned(state: State, message: CoreMessage): boolean {
  if (message.term === state.term && message.from === state.leader) return false
  return wasRemoved(committedConfigurationOf(state), message.from)
}

/** The leader of the present term speaks. */
function hear(state: State, leader: string): void {
  assert(state.role !== "leader", "a term has one leader")
  if (state.role !== "follower" || state.leader === undefined) follow(state, state.term, leader)
  assert(state.leader === leader, "a term has one leader")
  state.leaderHeardAt = state.now
  state.elapsed = 0
}

function onOldTerm(state: State, message: CoreMessage): void {
  switch (message._tag) {
    case "PreVote":
      onPreVote(state, message)
      return
    case "Append":
    case "Heartbeat":
    case "SnapshotOffer":
      // A leader of an old term steps down when it hears of ours; without this, a member whose term ran ahead
      // while it was alone would never be taken back.
      state.outbox.push({
        _tag: "HeartbeatReply",
        from: state.id,
        to: message.from,
        term: state.term,
        read: 0
      })
      return
    default:
      return
  }
}

/** Knows who leads, for those who ask, and says only that it is not to be counted. */
function listen(state: State, message: CoreMessage): void {
  if (message._tag !== "Append" && message._tag !== "Heartbeat" && message._tag !== "SnapshotOffer") return
  if (message.term < state.term) return
  state.term = message.term
  state.leader = message.from
  state.leaderHeardAt = state.now
  tellQuarantined(state)
}

/** What it acknowledged is gone. It stays so: a directory that was set aside begins anew under another id. */
function onQuarantined(state: State, from: string): void {
  const peer = state.peers.get(from)
  if (peer === undefined) return
  peer.quarantined = true
  peer.match = 0
}

function tellRemoved(state: State, to: string): void {
  state.outbox.push({ _tag: "Removed", from: state.id, to, term: state.term })
}

/** Only takes away: a member that believes it campaigns no more. */
function onRemoved(state: State, from: string): void {
  if (state.role === "leader" || !isMember(configurationOf(state), from)) return
  state.removed = true
  follow(state, state.term, undefined)
}
