/**
 * What a round of the kernel and the names begins with: tasks that serve no more are gone from there before anything else is
 * looked at, because whoever is led to them fails, and reading the kernel takes long just when an Engine ends a container.
 */
import type { OverlayTable, ServiceRow } from "#actors/network/table.ts"

/**
 * `before` without the tasks that serve there and do not serve `now`; a service of which no task would be left is as before, until
 * all that is new takes its place at once. `undefined` where that is `before`.
 */
export function withdraw(
  before: ReadonlyArray<OverlayTable>,
  now: ReadonlyArray<OverlayTable>
): ReadonlyArray<OverlayTable> | undefined {
  const overlays = new Map(now.map((table) => [table.networkId, table]))
  let isChanged = false
  const tables = before.map((table) => {
    const current = overlays.get(table.networkId)
    if (current === undefined || current.services === table.services) return table
    const rows = new Map(current.services.map((row) => [row.serviceId, row]))
    let isOther = false
    const services = table.services.map((row) => {
      const left = rest(row, rows.get(row.serviceId))
      isOther ||= left !== row
      return left
    })
    isChanged ||= isOther
    return isOther ? { ...table, services } : table
  })
  return isChanged ? tables : undefined
}

function rest(before: ServiceRow, now: ServiceRow | undefined): ServiceRow {
  if (now === undefined || now === before || now.tasks === before.tasks) return before
  const serving = new Set(now.tasks.flatMap(({ taskId, serving }) => (serving ? [taskId] : [])))
  const tasks = before.tasks.filter((task) => !task.serving || serving.has(task.taskId))
  return tasks.length === before.tasks.length || !tasks.some((task) => task.serving)
    ? before
    : { ...before, tasks }
}
