/** Time passes. */

import type { NodeId } from "#actors/raft/core/configuration.ts"
import { campaign, follow } from "#actors/raft/core/elect.ts"
import { isQuorum } from "#actors/raft/core/quorum.ts"
import { beat } from "#actors/raft/core/replicate.ts"
import { configurationOf, isDiskStuck, isVoting, mayCampaign, type State } from "#actors/raft/core/state.ts"
import { resign } from "#actors/raft/core/transfer.ts"

export function tick(state: State): void {
  state.now++
  if (state.role === "leader") tickLeader(state)
  else {
    state.elapsed++
    const isDue = state.elapsed >= state.timeout || (state.role === "follower" && isAlone(state))
    if (!isDue || isVoting(state)) return
    if (mayCampaign(state)) campaign(state, false)
    // Who may not campaign does not know of a leader any more either.
    else state.leader = undefined
  }
}

/** Whoever decides alone has no leader to wait for. */
function isAlone(state: State): boolean {
  const { voters, outgoing } = configurationOf(state)
  return outgoing.length === 0 && voters.length === 1 && voters[0] === state.id
}

function tickLeader(state: State): void {
  const { electionTicks, heartbeatTicks } = state.settings
  const isHeard = (voter: NodeId): boolean => {
    if (voter === state.id) return true
    const peer = state.peers.get(voter)
    return peer !== undefined && state.now - peer.heardAt < electionTicks
  }
  // Check-quorum: whoever is not heard by a majority must not stand in the way of one that is.
  if (!isQuorum(configurationOf(state), isHeard)) {
    follow(state, state.term, undefined)
    // The question waits where they are held up, so that whoever comes back first is answered first: of two members
    // one that starts keeps the other waiting no longer than it must.
    if (mayCampaign(state)) campaign(state, false)
    return
  }
  if (isDiskStuck(state)) {
    resign(state)
    return
  }
  if (state.transferee !== undefined && state.now >= state.transferEnds) state.transferee = undefined
  state.elapsed++
  if (state.elapsed >= heartbeatTicks) {
    state.elapsed = 0
    beat(state, false)
  }
}

/**
 * `node` is gone. Who followed it waits no longer; the others of the group begin one after another, a tick apart and in
 * the order of their ids, because two who ask at once would share the votes.
 */
export function hintGone(state: State, node: NodeId): void {
  if (state.role === "leader") {
    lost(state, node)
    return
  }
  if (state.leader !== node || state.role !== "follower") return
  state.leader = undefined
  if (!mayCampaign(state)) return
  const { voters } = configurationOf(state)
  const rank = voters.filter((id) => id !== node).indexOf(state.id)
  if (rank <= 0) campaign(state, false)
  else state.timeout = Math.min(state.timeout, state.elapsed + rank)
}

/** What was sent to `node` may be lost: from here on, one message at a time until it answers. */
export function lost(state: State, node: NodeId): void {
  const peer = state.peers.get(node)
  if (peer?.state === "replicate") peer.become("probe", peer.match + 1)
}
