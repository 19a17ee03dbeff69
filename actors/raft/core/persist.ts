/** What goes to the disk, in what pieces, and what follows once it is there. */
import type { Persist } from "#actors/raft/core/protocol.ts"
import { advanceCommit } from "#actors/raft/core/replicate.ts"
import { isPlacing, type State, type Writing } from "#actors/raft/core/state.ts"
import type { SnapshotMeta } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"

/** The next write, if there is something to write and the disk has room for it on its way. */
export function takePersist(state: State): Persist | undefined {
  const { log, settings, writing } = state
  if (state.quarantined !== undefined || writing.length >= settings.persistsInFlight) return undefined
  // The log goes on behind a snapshot only when that is in place.
  if (isPlacing(state)) return undefined
  const hardState = { term: state.term, vote: state.vote }
  const isHard = hardState.term !== state.hardHanded.term || hardState.vote !== state.hardHanded.vote
  const snapshot = state.installing
  const hasEntries = snapshot === undefined && state.written < log.lastIndex
  if (!isHard && !hasEntries && snapshot === undefined && state.truncateFrom === undefined) return undefined
  const entries = hasEntries
    ? log.slice(state.written + 1, log.lastIndex, settings.persistBytes, settings.persistEntries)
    : []
  const { truncateFrom } = state
  state.installing = undefined
  state.truncateFrom = undefined
  state.hardHanded = hardState
  state.written += entries.length
  state.token++
  state.writing.push({
    token: state.token,
    hardState,
    lastIndex: state.written,
    snapshot,
    since: state.now
  })
  return {
    token: state.token,
    hardState: isHard ? hardState : undefined,
    truncateFrom,
    entries,
    // What a snapshot commits is not in the log, which may hold others' entries there until the snapshot is.
    commitHint: snapshot === undefined ? Math.min(state.commit, state.written) : state.durable,
    snapshot
  }
}

/** There was no room for the snapshot of this write; its term and vote are durable, and may be told. */
export function unplaced(state: State, token: number): void {
  const writing = state.writing.shift()
  assert(writing?.token === token && writing.snapshot !== undefined, "what has no room is what was written")
  state.hardDurable = writing.hardState
  state.unplaced = writing.snapshot
}

/** There may be room now. */
export function placeAgain(state: State): void {
  state.installing = state.unplaced
  state.unplaced = undefined
}

/** The oldest write on its way is durable. */
export function persisted(state: State, token: number): void {
  const writing: Writing | undefined = state.writing.shift()
  assert(writing !== undefined && writing.token === token, "writes become durable in order")
  state.hardDurable = writing.hardState
  if (writing.snapshot !== undefined) state.snapshot = writing.snapshot
  state.durable = Math.max(state.durable, writing.lastIndex)
  assert(state.durable <= state.log.lastIndex, "nothing is durable that is not in the log")
  advanceCommit(state)
}

/** A snapshot of this member's own state is durable; of the log, what absent members may still want is kept. */
export function compact(state: State, meta: SnapshotMeta): void {
  if (meta.index <= (state.snapshot?.index ?? 0)) return
  assert(meta.index <= state.applying, "a snapshot holds what was applied")
  state.snapshot = meta
  const { trailingBytes, trailingEntries } = state.settings
  state.log.compact(state.log.leaving(meta.index, trailingBytes, trailingEntries))
  while ((state.configurations[1]?.index ?? Number.POSITIVE_INFINITY) <= meta.index) {
    state.configurations.shift()
    state.implicit = false
  }
}
