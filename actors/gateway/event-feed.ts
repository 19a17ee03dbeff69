/**
 * The cluster's own events, as they happen and the last thousand again: what `/events` adds to the Engine's.
 *
 * The ring is this process's memory. A gateway that restarted has no past, as an Engine that restarted has none.
 */
import { type EngineEvent, translate } from "#actors/gateway/events.ts"
import type { Change, ChangeSet } from "#actors/ledger/reader.ts"

/** The Engine keeps 256; a deploy of a large stack alone makes some hundreds here. */
const remembered = 1_000

export interface EventFeed {
  /** Events still remembered, oldest first. */
  readonly past: () => ReadonlyArray<EngineEvent>
  readonly follow: (listen: (event: EngineEvent) => void) => { readonly unsubscribe: () => void }
  /** Takes what an entry changed; a follower of the ledger. */
  readonly take: (changes: ChangeSet) => void
}

export function makeEventFeed(limit: number = remembered): EventFeed {
  const ring: Array<EngineEvent> = []
  const listeners = new Set<(event: EngineEvent) => void>()
  return {
    past: () => [...ring],
    follow: (listen) => {
      listeners.add(listen)
      return { unsubscribe: () => void listeners.delete(listen) }
    },
    take: (changes) => {
      for (const event of translate({ ...changes, changes: changes.changes.filter(isNews) })) {
        ring.push(event)
        for (const listen of listeners) listen(event)
      }
      // Cut in strides, because every cut moves what stays.
      if (ring.length > limit * 2) ring.splice(0, ring.length - limit)
    }
  }
}

/** A node that was merely heard of again keeps its version, and nobody is told. */
function isNews(change: Change): boolean {
  const before = change.before?.Version.Index
  return before === undefined || before !== change.after?.Version.Index
}
