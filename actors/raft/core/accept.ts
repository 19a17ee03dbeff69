/** The follower's side of the log: taking what the leader sends, and saying what is durable here. */
import { decodeConfiguration, isVoter } from "#actors/raft/core/configuration.ts"
import { campaign } from "#actors/raft/core/elect.ts"
import type { Append, Heartbeat, SnapshotOffer, TimeoutNow } from "#actors/raft/core/message.ts"
import { commitTo } from "#actors/raft/core/replicate.ts"
import { configurationOf, cutLog, mayCampaign, quarantine, type State } from "#actors/raft/core/state.ts"
import { entryType } from "#actors/raft/entry.ts"
import { assert } from "#runtime/assert.ts"

export function onAppend(state: State, message: Append): void {
  const { log } = state
  const { prevIndex, entries } = message
  if (!isWhole(message)) return
  if (prevIndex < state.commit) {
    // Old news: everything committed is as every later leader has it.
    if (!message.quiet) owe(state, state.commit)
    return
  }
  if (log.termAt(prevIndex) !== message.prevTerm) {
    if (prevIndex <= state.ackClaimed) forgot(state, prevIndex, `entry ${prevIndex} is another one`)
    else refuse(state, prevIndex, message.prevTerm)
    return
  }
  let at = 0
  while (at < entries.length && log.termAt(prevIndex + at + 1) === entries[at]?.term) at++
  if (at < entries.length) {
    const first = prevIndex + at + 1
    // Only what differs is cut: a late message must not undo a newer one.
    if (first <= log.lastIndex) cutLog(state, first)
    const fresh = at === 0 ? entries : entries.slice(at)
    log.append(fresh)
    for (const entry of fresh) {
      if (entry.type !== entryType.config) continue
      state.configurations.push({ index: entry.index, configuration: decodeConfiguration(entry.data) })
    }
  }
  const last = prevIndex + entries.length
  // What lies beyond may still be another leader's.
  commitTo(state, Math.min(message.commit, last))
  if (message.quiet) state.ackIndex = Math.max(state.ackIndex, last)
  else owe(state, last)
}

/** Entries without gaps, of terms that do not fall: told, so not asserted. */
function isWhole({ prevIndex, prevTerm, term, entries }: Append): boolean {
  let index = prevIndex
  let last = prevTerm
  for (const entry of entries) {
    if (entry.index !== index + 1 || entry.term < last || entry.term > term) return false
    index = entry.index
    last = entry.term
  }
  return true
}

/** Entry `index` of the leader's, of `term` there, is not here. */
function refuse(state: State, index: number, term: number): void {
  const { leader, log } = state
  assert(leader !== undefined, "only a leader is refused something")
  const hintIndex = log.lastUpToTerm(Math.min(index, log.lastIndex), term)
  state.outbox.push({
    _tag: "AppendReply",
    from: state.id,
    to: leader,
    term: state.term,
    accepted: false,
    index,
    hintIndex,
    hintTerm: log.termAt(hintIndex) ?? 0,
    lastIndex: log.lastIndex
  })
}

function owe(state: State, index: number): void {
  state.ackIndex = Math.max(state.ackIndex, index)
  state.ackOwed = true
}

/** Acknowledges as much as is durable here, in one message for everything that came since the last. */
export function releaseAcks(state: State): void {
  if (!state.ackOwed || state.role !== "follower" || state.leader === undefined) return
  if (state.hardDurable.term !== state.term) return
  const index = Math.min(state.ackIndex, state.durable)
  if (index < state.ackIndex && index <= state.ackSent) return
  state.ackOwed = index < state.ackIndex
  state.ackSent = index
  state.outbox.push({
    _tag: "AppendReply",
    from: state.id,
    to: state.leader,
    term: state.term,
    accepted: true,
    index,
    hintIndex: 0,
    hintTerm: 0,
    lastIndex: state.log.lastIndex
  })
}

export function onHeartbeat(state: State, message: Heartbeat): void {
  onAcknowledged(state, message.commit)
  if (state.quarantined !== undefined) return
  commitTo(state, Math.min(message.commit, state.ackIndex))
  state.outbox.push({
    _tag: "HeartbeatReply",
    from: state.id,
    to: message.from,
    term: state.term,
    read: message.read
  })
}

/**
 * The leader names only what this member acknowledged in this term: it was durable here, and may be gone. That there are as
 * many entries says nothing, they may be another leader's. Only an append compares, so after a start in the same term
 * this member has one sent, by refusing the entry after its last.
 */
export function onAcknowledged(state: State, index: number): void {
  const { term, log, hardDurable } = state
  if (index > log.lastIndex) forgot(state, index, `the log ends at ${log.lastIndex}`)
  else if (index > 0 && hardDurable.term < term)
    forgot(state, index, `the disk is in term ${hardDurable.term}`)
  else {
    state.ackClaimed = Math.max(state.ackClaimed, index)
    if (index > Math.max(state.ackIndex, state.commit)) refuse(state, log.lastIndex + 1, log.lastTerm)
  }
}

function forgot(state: State, index: number, found: string): void {
  quarantine(state, `Entries up to ${index} were acknowledged here in term ${state.term}, ${found}`)
}

export function onSnapshotOffer(state: State, message: SnapshotOffer): void {
  const { index, snapshotTerm } = message
  if (index > state.commit && state.log.termAt(index) === snapshotTerm) commitTo(state, index)
  if (index <= state.commit) {
    owe(state, state.commit)
    return
  }
  state.fetch = { from: message.from, meta: { index, term: snapshotTerm, config: message.config } }
}

/** The log gives way to a snapshot that was fetched whole, unless it is no longer needed. */
export function install(
  state: State,
  meta: { readonly index: number; readonly term: number; readonly config: Uint8Array }
): boolean {
  if (meta.index <= state.commit || state.installing !== undefined || state.unplaced !== undefined)
    return false
  if (state.log.termAt(meta.index) === meta.term) {
    commitTo(state, meta.index)
    owe(state, state.commit)
    return false
  }
  assert(state.role !== "leader", "a leader has everything that is committed")
  // The tail beyond what is committed was never compared with a leader's; nothing of it counts from here on.
  for (const writing of state.writing) writing.lastIndex = Math.min(writing.lastIndex, state.commit)
  state.durable = Math.min(state.durable, state.commit)
  if (state.written >= meta.index) {
    state.truncateFrom = Math.min(state.truncateFrom ?? meta.index, meta.index)
  }
  state.log.reset(meta.index, meta.term)
  state.written = meta.index
  state.commit = meta.index
  state.applying = meta.index
  state.configurations = [{ index: meta.index, configuration: decodeConfiguration(meta.config) }]
  state.implicit = false
  state.installing = meta
  state.ackIndex = meta.index
  state.ackOwed = true
  return true
}

/** The leader hands over: only the present one's word counts. */
export function onTimeoutNow(state: State, message: TimeoutNow): void {
  if (state.role !== "follower" || state.leader !== message.from) return
  if (!mayCampaign(state) || !isVoter(configurationOf(state), state.id)) return
  campaign(state, true)
}
