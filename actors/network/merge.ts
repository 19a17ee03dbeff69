/** A node's overlays with what is new of them: what is held, and what the leader says of it. */
import type { OverlayChange, OverlayTable, TasksChange } from "#actors/network/table.ts"

/** The overlay after the change; `undefined` where nothing is known that it could be a change of. */
export function merge(before: OverlayTable | undefined, change: OverlayChange): OverlayTable | undefined {
  if (change.head !== undefined) return { ...change.head, peers: change.peers, services: change.services }
  if (before === undefined) return undefined
  return {
    ...before,
    peers: mergeRows(before.peers, change.peers, change.peersGone, ({ nodeId }) => nodeId),
    services: mergeTasks(
      mergeRows(before.services, change.services, change.servicesGone, ({ serviceId }) => serviceId),
      change.tasks ?? []
    )
  }
}

function mergeTasks(
  services: OverlayTable["services"],
  changes: ReadonlyArray<TasksChange>
): OverlayTable["services"] {
  if (changes.length === 0) return services
  const byService = new Map(changes.map((change) => [change.serviceId, change]))
  return services.map((row) => {
    const change = byService.get(row.serviceId)
    if (change === undefined) return row
    return { ...row, tasks: mergeRows(row.tasks, change.tasks, change.gone, ({ taskId }) => taskId) }
  })
}

/** In the order of their ids, as all rows are. */
function mergeRows<T>(
  before: ReadonlyArray<T>,
  changed: ReadonlyArray<T>,
  gone: ReadonlyArray<string>,
  idOf: (row: T) => string
): ReadonlyArray<T> {
  if (changed.length === 0 && gone.length === 0) return before
  const rows = new Map(before.map((row) => [idOf(row), row]))
  for (const row of changed) rows.set(idOf(row), row)
  for (const id of gone) rows.delete(id)
  return [...rows.values()].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
}
