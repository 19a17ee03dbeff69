/** Handing leadership over: on request, when the group voted its leader out, when the leader's disk hangs. */
import { notLeader } from "#actors/raft/core/append.ts"
import { isVoter, type NodeId } from "#actors/raft/core/configuration.ts"
import { follow } from "#actors/raft/core/elect.ts"
import type { TransferResult } from "#actors/raft/core/protocol.ts"
import { bestSuccessor, handOverTo } from "#actors/raft/core/replicate.ts"
import { configurationOf, type State } from "#actors/raft/core/state.ts"

/** No proposals are taken until the successor leads or an election timeout has passed. Raft §3.10. */
export function transfer(state: State, wanted: NodeId | undefined): TransferResult {
  if (state.role !== "leader") return notLeader(state)
  const to = wanted ?? bestSuccessor(state)
  const refuse = (reason: string): TransferResult => ({ _tag: "Refused", reason })
  if (to === undefined) return refuse("no other voter was heard lately")
  if (to === state.id) return refuse("this member leads already")
  const peer = state.peers.get(to)
  if (peer === undefined) return refuse(`${to} is not a member of the group`)
  if (!isVoter(configurationOf(state), to)) return refuse(`${to} is a learner`)
  if (state.transferee === to) return { _tag: "Started", to }
  state.transferee = to
  state.transferEnds = state.now + state.settings.electionTicks
  peer.probing = false
  peer.poke = true
  handOverTo(state, to, peer)
  return { _tag: "Started", to }
}

/** Leads no longer; whoever has most of the log is asked to. */
export function resign(state: State): void {
  const to = bestSuccessor(state)
  if (to !== undefined) {
    state.outbox.push({ _tag: "TimeoutNow", from: state.id, to, term: state.term })
  }
  follow(state, state.term, undefined)
}
