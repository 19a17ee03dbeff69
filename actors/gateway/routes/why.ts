/**
 * `GET /why/NAME`: why a task is where it is or waits; of a service which of its tasks wait and why, what became of its
 * last update, and how tasks of it ended badly. Not the Engine's API.
 */
import { find, taskName } from "#actors/gateway/find.ts"
import { type Call, type Route, reading } from "#actors/gateway/gateway.ts"
import { type Answer, isRefusal, ok } from "#actors/gateway/response.ts"
import { checkCertificate } from "#actors/gateway/validate/check-certificate.ts"
import { whyKept } from "#actors/ledger/lost.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { Service, Task } from "#actors/model/objects.ts"
import { isTerminal, isWanted } from "#actors/model/task-state.ts"
import { diagnose } from "#actors/scheduler/diagnose.ts"

function answerWhy(reader: LedgerReader, call: Call): Answer | Refusal {
  const name = call.param("name")
  const task = inSlot(reader, name) ?? find(reader, "task", name)
  if (!isRefusal(task)) return ok({ Tasks: [why(reader, task)] })
  const service = find(reader, "service", name)
  if (!isRefusal(service)) {
    const { UpdateStatus } = service
    return ok({
      Service: service.Spec.Name,
      Tasks: whatWaits(reader, service),
      ...(UpdateStatus !== undefined && UpdateStatus.State !== "completed" && { Update: UpdateStatus }),
      Ended: whatFailed(reader, service),
      ...ofCertificate(reader, service)
    })
  }
  const several = [task, service].find(({ code }) => code !== "notFound")
  return several ?? refuse("notFound", `no task and no service is called ${name}`)
}

/** Where there is something to say of the certificate that its host is shown by. */
function ofCertificate(
  reader: LedgerReader,
  { Spec }: Service
): { readonly Warnings?: ReadonlyArray<string> } {
  const { says } = checkCertificate(reader, Spec, reader.time)
  return says.length === 0 ? {} : { Warnings: says }
}

/** `web.1`: the newest task there. */
function inSlot(reader: LedgerReader, name: string): Task | undefined {
  const [, serviceName = "", slot] = /^(.+)\.(\d+)$/.exec(name) ?? []
  const service = reader.byName("service", serviceName)
  if (service === undefined) return undefined
  const tasks = [...reader.tasksInSlot(service.ID, Number(slot))]
  const newest = (a: Task, b: Task): Task => (b.CreatedAt >= a.CreatedAt ? b : a)
  return tasks.length === 0 ? undefined : (tasks.filter(isWanted)[0] ?? tasks.reduce(newest))
}

/** Those of a service's tasks that are wanted and do not run, or that may run and let no other; of alike ones the first stands for all. */
function whatWaits(reader: LedgerReader, service: Service): ReadonlyArray<object> {
  const found = new Map<string, { readonly first: Task; alike: number }>()
  for (const task of reader.tasksOfService(service.ID)) {
    const { State, Err = "" } = task.Status
    const isKept = whyKept(reader, task) !== undefined
    if (!isKept && (!isWanted(task) || State === "running" || isTerminal(State))) continue
    const where = State === "pending" || isKept ? (task.NodeID ?? "") : ""
    const key = `${task.SpecVersion} ${State} ${Err} ${where}`
    const known = found.get(key)
    if (known === undefined) found.set(key, { first: task, alike: 0 })
    else known.alike += 1
  }
  return [...found.values()].map(({ first, alike }) => ({ ...why(reader, first), Alike: alike }))
}

/** The newest of a service's tasks that ended badly, one per way in which they did, the newest first. */
function whatFailed(reader: LedgerReader, service: Service): ReadonlyArray<object> {
  const found = new Map<string, { last: Task; alike: number }>()
  for (const task of reader.tasksOfService(service.ID)) {
    const { State, Err = "" } = task.Status
    if (State !== "failed" && State !== "rejected") continue
    const key = `${State} ${Err}`
    const known = found.get(key)
    if (known === undefined) found.set(key, { last: task, alike: 0 })
    else {
      known.alike += 1
      if (task.Status.Timestamp > known.last.Status.Timestamp) known.last = task
    }
  }
  return [...found.values()]
    .sort((a, b) => (a.last.Status.Timestamp < b.last.Status.Timestamp ? 1 : -1))
    .slice(0, mostEnds)
    .map(({ last, alike }) => ({ ...why(reader, last), At: last.Status.Timestamp, Alike: alike }))
}
const mostEnds = 3

function why(reader: LedgerReader, task: Task): object {
  const { State, Message = "", Err = "" } = task.Status
  const node = reader.get("node", task.NodeID ?? "")
  const name = node?.Description?.Hostname || node?.ID || ""
  return {
    ID: task.ID,
    Name: taskName(reader, task),
    State,
    DesiredState: task.DesiredState,
    Since: task.Status.Timestamp,
    Says: whyKept(reader, task) ?? (Err === "" ? Message : Err),
    Failing: Err !== "",
    ...(node === undefined ? {} : { Node: name }),
    ...(task.StartAfter === undefined ? {} : { StartAfter: task.StartAfter }),
    ...(task.Reason === undefined ? {} : { Reason: task.Reason }),
    ...(State === "pending" && isWanted(task) ? { Diagnosis: diagnose(reader, task) } : {})
  }
}

export const whyRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/why/:name", handle: reading(answerWhy) }
]
