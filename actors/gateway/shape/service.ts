/**
 * Services as the Engine shows them.
 *
 * Clients poll lists five times a second, so the text of an object is made once: objects are never changed in
 * place, which makes the object itself the key under which its text is kept.
 */
import { endpointSpec, ports, serviceSpec } from "#actors/gateway/shape/layouts.ts"
import { always, filled, type Layout, list, part, present, render } from "#actors/gateway/shape/render.ts"
import { isLost } from "#actors/ledger/lost.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Service } from "#actors/model/objects.ts"
import { modeOf, replicasOf } from "#actors/model/service-facts.ts"
import type { ServiceSpec, UpdateConfig } from "#actors/model/spec.ts"

const second = 1_000_000_000

const endpoint: Layout = [
  ["Spec", part(endpointSpec)],
  ["Ports", ports],
  [
    "VirtualIPs",
    list([
      ["NetworkID", filled],
      ["Addr", filled]
    ])
  ]
]

const updateStatus: Layout = [
  ["State", filled],
  ["StartedAt", present],
  ["CompletedAt", present],
  ["Message", filled]
]

const jobStatus: Layout = [
  ["JobIteration", part([["Index", filled]])],
  ["LastExecution", always("0001-01-01T00:00:00Z")]
]

/** How many tasks of a service run, should run, and have completed. */
export interface ServiceStatus {
  readonly RunningTasks: number
  readonly DesiredTasks: number
  readonly CompletedTasks: number
}

/** The text before and after the place of `ServiceStatus`, both without the braces. */
interface Halves {
  readonly head: string
  readonly tail: string
}
const halves = new WeakMap<Service, Halves>()

/** The service's JSON; `status` is there when the client asked for it, defaults when `insertDefaults`. */
export function serviceText(
  service: Service,
  options: { readonly status?: ServiceStatus; readonly insertDefaults?: boolean } = {}
): string {
  const { head, tail } = options.insertDefaults === true ? split(service, fillDefaults) : kept(service)
  if (options.status === undefined) return `{${head}${tail}}`
  return `{${head},"ServiceStatus":${JSON.stringify(options.status)}${tail}}`
}

function kept(service: Service): Halves {
  const known = halves.get(service)
  if (known !== undefined) return known
  const fresh = split(service, (spec) => spec)
  halves.set(service, fresh)
  return fresh
}

function split(service: Service, adjust: (spec: ServiceSpec) => ServiceSpec): Halves {
  const head = JSON.stringify({
    ID: service.ID,
    Version: service.Version,
    CreatedAt: service.CreatedAt,
    UpdatedAt: service.UpdatedAt,
    Spec: render(serviceSpec, adjust(service.Spec), "out"),
    ...(service.PreviousSpec === undefined
      ? {}
      : { PreviousSpec: render(serviceSpec, service.PreviousSpec, "out") }),
    Endpoint: render(endpoint, service.Endpoint ?? {}, "out"),
    ...(service.UpdateStatus === undefined
      ? {}
      : { UpdateStatus: render(updateStatus, service.UpdateStatus, "out") })
  })
  const tail =
    service.JobStatus === undefined
      ? ""
      : `,"JobStatus":${JSON.stringify(render(jobStatus, service.JobStatus, "out"))}`
  return { head: head.slice(1, -1), tail }
}

// Swarm's defaults; they are shown on request and never stored, or an update would make them the user's wish.
const updateDefaults = {
  Parallelism: 1,
  FailureAction: "pause",
  Monitor: 5 * second,
  MaxFailureRatio: 0,
  Order: "stop-first"
} as const satisfies UpdateConfig

/** The spec with what Swarm takes where nothing was said, as `docker service inspect` shows it. */
function fillDefaults(spec: ServiceSpec): ServiceSpec {
  const task = spec.TaskTemplate ?? {}
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ...(task.ContainerSpec === undefined
        ? {}
        : { ContainerSpec: { StopGracePeriod: 10 * second, ...task.ContainerSpec } }),
      Resources: { Limits: {}, Reservations: {}, ...task.Resources },
      RestartPolicy: { Condition: "any", Delay: 5 * second, MaxAttempts: 0, ...task.RestartPolicy },
      Placement: task.Placement ?? {}
    },
    UpdateConfig:
      spec.UpdateConfig === undefined ? updateDefaults : { Monitor: 5 * second, ...spec.UpdateConfig },
    RollbackConfig:
      spec.RollbackConfig === undefined ? updateDefaults : { Monitor: 5 * second, ...spec.RollbackConfig }
  }
}

/**
 * What runs of a service and what should. Tasks of nodes that are down do not count, where Swarm goes on counting
 * them beside those that took their place. Tasks of a job's earlier executions do not count. A replicated job
 * wants as many tasks as may run at once, also when it is done: so the Engine has it.
 */
export function countTasks(reader: LedgerReader, service: Service): ServiceStatus {
  const mode = modeOf(service.Spec)
  const everywhere = mode === "global" || mode === "global-job"
  const iteration = service.JobStatus?.JobIteration.Index
  let running = 0
  let completed = 0
  let wanted = 0
  for (const task of reader.tasksOfService(service.ID)) {
    if (iteration !== undefined) {
      if ((task.JobIteration?.Index ?? 0) !== iteration) continue
      if (task.Status.State === "complete") completed += 1
    }
    if (task.Status.State === "running" && !isLost(reader, task)) running += 1
    if (task.DesiredState === "running") wanted += 1
    else if (task.DesiredState === "complete" && task.Status.State !== "complete") wanted += 1
  }
  const desired = everywhere
    ? wanted
    : mode === "replicated-job"
      ? (service.Spec.Mode?.ReplicatedJob?.MaxConcurrent ?? 1)
      : replicasOf(service.Spec)
  return { RunningTasks: running, DesiredTasks: desired, CompletedTasks: completed }
}
