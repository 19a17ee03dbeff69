/** Linearizable reads: a majority says, after the question was asked, that this member still leads. Raft §6.4. */
import type { HeartbeatReply } from "#actors/raft/core/message.ts"
import type { ReadId } from "#actors/raft/core/protocol.ts"
import { isQuorum } from "#actors/raft/core/quorum.ts"
import { beat } from "#actors/raft/core/replicate.ts"
import { configurationOf, type State } from "#actors/raft/core/state.ts"

export function askRead(state: State, id: ReadId): boolean {
  if (state.role !== "leader" || state.resigning) return false
  state.readsAsked.push(id)
  return true
}

/**
 * One round for everybody who asked since the last. Rounds are numbered by the leader and never reused, so that a late
 * or repeated answer confirms no question that was asked after it was sent.
 */
export function beginRound(state: State): void {
  if (state.readsAsked.length === 0) return
  // Before an entry of its own term is committed, a leader does not know how far the log is.
  if (state.commit < state.termStart) return
  state.readSeq++
  state.readRounds.push({ seq: state.readSeq, index: state.commit, ids: state.readsAsked })
  state.readsAsked = []
  if (!confirm(state)) beat(state, true)
}

export function onReadConfirmed(state: State, _message: HeartbeatReply): void {
  if (state.readRounds.length > 0) confirm(state)
}

/** Answers the rounds that a quorum has confirmed; true when none is left. */
function confirm(state: State): boolean {
  const configuration = configurationOf(state)
  while (state.readRounds.length > 0) {
    const round = state.readRounds[0] as (typeof state.readRounds)[number]
    const agrees = (voter: string): boolean =>
      voter === state.id || (state.peers.get(voter)?.readAcked ?? 0) >= round.seq
    if (!isQuorum(configuration, agrees)) return false
    for (const id of round.ids) state.reads.push({ id, index: round.index })
    state.readRounds.shift()
  }
  return true
}
