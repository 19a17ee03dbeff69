/** Elections: asking for votes, giving them, winning, stepping down. */

import { append, trackPeers } from "#actors/raft/core/append.ts"
import { encodeConfiguration, isVoter, membersOf, type NodeId } from "#actors/raft/core/configuration.ts"
import { bytesOf } from "#actors/raft/core/log.ts"
import type { PreVote, PreVoteReply, Vote, VoteReply } from "#actors/raft/core/message.ts"
import { tally } from "#actors/raft/core/quorum.ts"
import { configurationOf, isDiskStuck, mayCampaign, type State } from "#actors/raft/core/state.ts"
import { entryType } from "#actors/raft/entry.ts"
import { assert } from "#runtime/assert.ts"

const rest = (state: State): void => {
  state.elapsed = 0
  state.timeout = state.settings.electionTicks + state.chance.below(state.settings.electionTicks)
}

/** Follows in `term`, which is not below the present one. A vote given in a term is kept for all of it. */
export function follow(state: State, term: number, leader: NodeId | undefined): void {
  assert(term >= state.term, "a term never goes back")
  if (term > state.term) {
    state.term = term
    state.vote = ""
    state.owedVote = undefined
    state.ackIndex = 0
    state.ackSent = 0
    state.ackOwed = false
    state.ackClaimed = 0
  }
  state.role = "follower"
  state.leader = leader
  state.candidacy = undefined
  state.votes.clear()
  state.peers.clear()
  state.transferee = undefined
  state.resigning = false
  for (const id of state.readsAsked) state.lostReads.push(id)
  for (const { ids } of state.readRounds) state.lostReads.push(...ids)
  state.readsAsked = []
  state.readRounds = []
  rest(state)
}

/**
 * Begins to campaign; first of all by asking whether it would win, unless the leader itself `transfer`s. A cluster
 * that is well never hears of a term that nobody would have voted for.
 */
export function campaign(state: State, transfer: boolean): void {
  assert(mayCampaign(state) && state.role !== "leader", "whoever campaigns may lead")
  rest(state)
  state.leader = undefined
  state.votes.clear()
  state.candidacy = undefined
  if (transfer) {
    stand(state, true)
    return
  }
  state.role = "pre-candidate"
  state.votes.set(state.id, true)
  if (electionOf(state) === "won") stand(state, false)
  else ask(state, "PreVote", state.term + 1, false)
}

/** Votes for itself in a new term; the others are asked once that is durable. */
function stand(state: State, transfer: boolean): void {
  follow(state, state.term + 1, undefined)
  state.role = "candidate"
  state.vote = state.id
  state.votedAt = state.now
  state.candidacy = { transfer }
}

/** Called when the disk has caught up: what waited for it may now be said. */
export function releaseVotes(state: State): void {
  const { term, vote } = state.hardDurable
  if (term !== state.term || vote !== state.vote) return
  if (state.owedVote !== undefined) {
    assert(state.owedVote === vote, "the vote that is owed is the one that was given")
    waitForDisks(state)
    state.outbox.push({ _tag: "VoteReply", from: state.id, to: vote, term, granted: true })
    state.owedVote = undefined
  }
  if (state.role === "candidate" && state.candidacy !== undefined) {
    const { transfer } = state.candidacy
    waitForDisks(state)
    state.candidacy = undefined
    state.votes.set(state.id, true)
    if (electionOf(state) === "won") lead(state)
    else ask(state, "Vote", term, transfer)
  }
}

/**
 * The others have to write their votes, too, and their disks may be slower than this one. Without the wait, a group in
 * which a write takes as long as an election timeout would never elect anybody.
 */
function waitForDisks(state: State): void {
  state.elapsed = 0
  state.timeout += 2 * (state.now - state.votedAt)
}

const electionOf = (state: State): "won" | "lost" | "open" =>
  tally(configurationOf(state), (voter) => state.votes.get(voter))

function ask(state: State, question: "PreVote" | "Vote", term: number, transfer: boolean): void {
  const { lastIndex, lastTerm } = state.log
  for (const to of membersOf(configurationOf(state))) {
    if (to === state.id || !isVoter(configurationOf(state), to)) continue
    const letter = { from: state.id, to, term, lastIndex, lastTerm }
    state.outbox.push(
      question === "PreVote" ? { _tag: "PreVote", ...letter } : { _tag: "Vote", ...letter, transfer }
    )
  }
}

/** A leader was heard so lately that nobody else than itself is wanted: it may have lost its followers for a moment. */
export const isInLease = (state: State, asker: NodeId): boolean =>
  state.role === "leader" ||
  (state.leader !== undefined &&
    state.leader !== asker &&
    state.now - state.leaderHeardAt < state.settings.electionTicks)

// Raft §5.4.1
const isAsNew = (state: State, lastIndex: number, lastTerm: number): boolean =>
  lastTerm > state.log.lastTerm || (lastTerm === state.log.lastTerm && lastIndex >= state.log.lastIndex)

/** Answers without changing anything here. */
export function onPreVote(state: State, message: PreVote): void {
  const granted =
    message.term > state.term &&
    !isInLease(state, message.from) &&
    isAsNew(state, message.lastIndex, message.lastTerm)
  state.outbox.push({
    _tag: "PreVoteReply",
    from: state.id,
    to: message.from,
    term: granted ? message.term : state.term,
    granted
  })
}

export function onPreVoteReply(state: State, message: PreVoteReply): void {
  if (state.role !== "pre-candidate") return
  if (message.granted && message.term !== state.term + 1) return
  if (!state.votes.has(message.from)) state.votes.set(message.from, message.granted)
  const election = electionOf(state)
  if (election === "won") {
    if (isDiskStuck(state)) follow(state, state.term, undefined)
    else stand(state, false)
  } else if (election === "lost") follow(state, state.term, undefined)
}

/** In the present term. Learners and members that do not know of themselves vote like any other: Raft §4.2.2. */
export function onVote(state: State, message: Vote): void {
  const free = state.vote === message.from || (state.vote === "" && state.leader === undefined)
  if (free && state.role !== "leader" && isAsNew(state, message.lastIndex, message.lastTerm)) {
    state.vote = message.from
    state.owedVote = message.from
    state.votedAt = state.now
    rest(state)
    return
  }
  state.outbox.push({
    _tag: "VoteReply",
    from: state.id,
    to: message.from,
    term: state.term,
    granted: false
  })
}

export function onVoteReply(state: State, message: VoteReply): void {
  if (state.role !== "candidate" || state.candidacy !== undefined) return
  if (!state.votes.has(message.from)) state.votes.set(message.from, message.granted)
  const election = electionOf(state)
  if (election === "won") lead(state)
  else if (election === "lost") follow(state, state.term, undefined)
}

/** Leads, and says so with an entry of its own term: only through it do older ones count as committed. */
function lead(state: State): void {
  assert(state.role === "candidate" && state.vote === state.id, "only who voted for itself leads")
  state.role = "leader"
  state.leader = state.id
  state.votes.clear()
  state.readSeq = 0
  state.uncommittedBytes = 0
  for (let index = state.commit + 1; index <= state.log.lastIndex; index++) {
    state.uncommittedBytes += bytesOf(state.log.at(index))
  }
  state.termStart = state.log.lastIndex + 1
  trackPeers(state)
  append(state, [{ type: entryType.noop, data: new Uint8Array(0) }])
  // What a group was founded with is nowhere in its log; the first leader writes it down for all who come later.
  if (state.implicit && state.configurations.length === 1) {
    const data = encodeConfiguration(configurationOf(state))
    append(state, [{ type: entryType.config, data }])
  }
}
