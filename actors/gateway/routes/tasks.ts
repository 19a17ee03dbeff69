/** `/tasks`: Engine API, tag Task. */
import { find, taskName } from "#actors/gateway/find.ts"
import { byId, type Call, filtersOf, type Route, reading } from "#actors/gateway/gateway.ts"
import { type Filters, hasLabels, hasPrefix, isOneOf, valuesOf } from "#actors/gateway/parse-filters.ts"
import { type Answer, isRefusal, list, okText } from "#actors/gateway/response.ts"
import { taskText } from "#actors/gateway/shape/task.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { type Task, taskStates } from "#actors/model/objects.ts"
import { dirtyTest } from "#actors/service/dirty.ts"

// `_up-to-date` is the docker CLI's own, for its progress bars.
const acceptedFilters = ["name", "id", "label", "service", "node", "desired-state", "_up-to-date", "runtime"]

function listTasks(reader: LedgerReader, call: Call): Answer | Refusal {
  const filters = filtersOf(call, acceptedFilters)
  if (isRefusal(filters)) return filters
  const services = idsOf(reader, "service", filters)
  if (isRefusal(services)) return services
  const nodes = idsOf(reader, "node", filters)
  if (isRefusal(nodes)) return nodes
  for (const state of valuesOf(filters, "desired-state")) {
    if (state !== "" && !taskStates.some((known) => known === state.toLowerCase())) {
      return refuse("unknown", `Invalid desired-state filter: '${state}'`)
    }
  }
  const states = new Set(valuesOf(filters, "desired-state").map((state) => state.toLowerCase()))
  states.delete("")
  const isUpToDate = upToDateTest(reader)
  const tasks: Array<Task> = []
  for (const task of candidates(reader, services.ids, nodes.ids)) {
    const wanted =
      (nodes.ids.size === 0 || (task.NodeID !== undefined && nodes.ids.has(task.NodeID))) &&
      (states.size === 0 || states.has(task.DesiredState)) &&
      hasPrefix(filters, "id", task.ID) &&
      isOneOf(filters, "runtime", "container") &&
      (valuesOf(filters, "name").length === 0 || hasPrefix(filters, "name", taskName(reader, task))) &&
      hasLabels(filters, "label", labelsOf(reader, task)) &&
      (valuesOf(filters, "_up-to-date").length === 0 || isUpToDate(task))
    if (wanted) tasks.push(task)
  }
  return list(byId(tasks).map((task) => taskText(reader, task)))
}

/** The ids that a filter's names, ids and beginnings of ids stand for; none at all when it is not there. */
function idsOf(
  reader: LedgerReader,
  kind: "service" | "node",
  filters: Filters
): { readonly ids: ReadonlySet<string> } | Refusal {
  const ids = new Set<string>()
  for (const value of valuesOf(filters, kind)) {
    const found = find(reader, kind, value)
    if (isRefusal(found)) return found
    ids.add(found.ID)
  }
  return { ids }
}

/** The shortest list at hand that holds every task asked for. */
function* candidates(
  reader: LedgerReader,
  services: ReadonlySet<string>,
  nodes: ReadonlySet<string>
): IterableIterator<Task> {
  if (services.size > 0) for (const id of services) yield* reader.tasksOfService(id)
  else if (nodes.size > 0) for (const id of nodes) yield* reader.tasksOfNode(id)
  else yield* reader.all("task")
}

/** A task answers to its service's labels; once that is gone, to its container's, which name its stack. */
const labelsOf = (reader: LedgerReader, task: Task): Readonly<Record<string, string>> | undefined =>
  reader.get("service", task.ServiceID)?.Spec.Labels ??
  reader.taskSpec(task.ServiceID, task.SpecVersion)?.ContainerSpec?.Labels

/**
 * True for tasks that their service has no need to replace. The docker CLI counts them while it waits for an update: one
 * that stays, because the template it was made by says the same, counts as much as a new one.
 */
function upToDateTest(reader: LedgerReader): (task: Task) => boolean {
  const dirtyOf = new Map<string, (task: Task) => boolean>()
  return (task) => {
    const service = reader.get("service", task.ServiceID)
    if (service === undefined) return false
    const iteration = service.JobStatus?.JobIteration.Index
    if (iteration !== undefined) return (task.JobIteration?.Index ?? 0) === iteration
    const isDirty = dirtyOf.get(service.ID) ?? dirtyTest({ ledger: reader, service })
    dirtyOf.set(service.ID, isDirty)
    return !isDirty(task)
  }
}

function inspectTask(reader: LedgerReader, call: Call): Answer | Refusal {
  const task = find(reader, "task", call.param("id"))
  return isRefusal(task) ? task : okText(taskText(reader, task))
}

export const taskRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/tasks", handle: reading(listTasks) },
  { method: "GET", path: "/tasks/:id", handle: reading(inspectTask) }
]
