/** What a leader adds to its own log; it never takes anything out of it. */
import { decodeConfiguration, isVoter, membersOf } from "#actors/raft/core/configuration.ts"
import { bytesOf } from "#actors/raft/core/log.ts"
import { Progress } from "#actors/raft/core/progress.ts"
import type { Proposed, ProposeResult } from "#actors/raft/core/protocol.ts"
import { configurationOf, type State } from "#actors/raft/core/state.ts"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { assert } from "#runtime/assert.ts"

/** Appends, whatever is under way. Returns the index of the first. */
export function append(state: State, batch: ReadonlyArray<Proposed>): number {
  assert(state.role === "leader", "only a leader appends what it likes")
  const first = state.log.lastIndex + 1
  const entries = batch.map(
    ({ type, data }, i): Entry => ({ index: first + i, term: state.term, type, data })
  )
  state.log.append(entries)
  for (const entry of entries) {
    state.uncommittedBytes += bytesOf(entry)
    if (entry.type !== entryType.config) continue
    // In force from where it stands in the log, committed or not: Raft §4.1.
    state.configurations.push({ index: entry.index, configuration: decodeConfiguration(entry.data) })
    trackPeers(state)
  }
  return first
}

/** Appends on behalf of a caller, if there is a leader and room here. */
export function propose(state: State, batch: ReadonlyArray<Proposed>): ProposeResult {
  if (state.role !== "leader" || state.resigning) return notLeader(state)
  if (state.transferee !== undefined) return { _tag: "Transferring" }
  const { uncommittedBytes, uncommittedEntries } = state.settings
  const waiting = state.log.lastIndex - state.commit
  let bytes = state.uncommittedBytes
  for (const { data } of batch) bytes += data.length
  // Something large is let in when nothing else waits; otherwise it never would be.
  const isOverloaded = waiting + batch.length > uncommittedEntries || bytes > uncommittedBytes
  if (isOverloaded && waiting + batch.length > 1) return { _tag: "Overloaded" }
  return { _tag: "Appended", index: append(state, batch), term: state.term }
}

export const notLeader = (state: State): { readonly _tag: "NotLeader"; readonly leader?: string } =>
  state.leader === undefined || state.leader === state.id
    ? { _tag: "NotLeader" }
    : { _tag: "NotLeader", leader: state.leader }

/** Follows the members of the configuration in force, and forgets all others. */
export function trackPeers(state: State): void {
  const configuration = configurationOf(state)
  const before = state.peers
  state.peers = new Map()
  for (const id of membersOf(configuration)) {
    if (id === state.id) continue
    const known = before.get(id)
    const fresh = () => new Progress(state.log.lastIndex + 1, state.now, state.settings.inFlightMessages)
    state.peers.set(id, known ?? fresh())
  }
  if (state.transferee !== undefined && !isVoter(configuration, state.transferee)) {
    state.transferee = undefined
  }
}
