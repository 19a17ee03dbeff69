/** `troupe status`: the cluster at a glance, out of what the API says of its nodes, services and tasks. */
import { isExclusive, keptBy } from "#actors/model/exclusive.ts"
import { modeOf } from "#actors/model/service-facts.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { duration } from "#cli/print/ago.ts"
import { type Alert, alertTable } from "#cli/print/alerts.ts"
import { table } from "#cli/print/table.ts"

export interface Info {
  readonly ServerVersion: string
  readonly Swarm: {
    readonly NodeID: string
    readonly LocalNodeState: string
    readonly Cluster?: { readonly ID: string }
  }
}
export interface Node {
  readonly ID: string
  readonly Spec: { readonly Role: string; readonly Availability: string }
  readonly Description?: { readonly Hostname: string }
  readonly Status: { readonly State: string; readonly Addr?: string }
  readonly ManagerStatus?: { readonly Leader?: boolean }
}
export interface Service {
  readonly ID: string
  readonly Spec: ServiceSpec
  readonly ServiceStatus: {
    readonly RunningTasks: number
    readonly DesiredTasks: number
    readonly CompletedTasks?: number
  }
  readonly UpdateStatus?: { readonly State: string; readonly Message: string }
}
export interface Task {
  readonly ID: string
  readonly ServiceID: string
  readonly NodeID?: string
  readonly Slot?: number
  readonly DesiredState: string
  readonly CreatedAt: string
  readonly Status: { readonly State: string; readonly Err?: string; readonly Timestamp?: string }
}

export interface Said {
  readonly info: Info
  readonly nodes: ReadonlyArray<Node>
  readonly services: ReadonlyArray<Service>
  readonly tasks: ReadonlyArray<Task>
  readonly alerts: ReadonlyArray<Alert>
}

/**
 * What `troupe status --json` prints; `Stale` is what a manager knew last that hears of no leader, `Self` the node that was
 * asked, `Waiting` are tasks that should run and do not.
 */
export type Glance = ReturnType<typeof glanceOf>

export function glanceOf({ info, nodes, services, tasks, alerts }: Said, isStale = false) {
  const names = new Map(services.map((service) => [service.ID, service.Spec.Name]))
  return {
    Cluster: info.Swarm.Cluster?.ID ?? "",
    State: info.Swarm.LocalNodeState,
    Stale: isStale,
    EngineVersion: info.ServerVersion,
    Nodes: nodes.map(({ ID, Spec, Description, Status, ManagerStatus }) => ({
      ID,
      Name: Description?.Hostname ?? ID,
      Self: ID === info.Swarm.NodeID,
      State: Status.State,
      Availability: Spec.Availability,
      Role: Spec.Role,
      Leader: ManagerStatus?.Leader === true,
      Addr: Status.Addr ?? ""
    })),
    Services: services.map(({ ID, Spec, ServiceStatus, UpdateStatus }) => ({
      ID,
      Name: Spec.Name ?? ID,
      Mode: modeOf(Spec),
      RunningTasks: ServiceStatus.RunningTasks,
      DesiredTasks: ServiceStatus.DesiredTasks,
      ...doneOf(Spec, ServiceStatus),
      ...(UpdateStatus && { UpdateStatus })
    })),
    Alerts: alerts,
    Waiting: [...tasks.filter(isUnwell), ...whatIsKept(services, nodes, tasks)].map(
      ({ ID, ServiceID, Slot, NodeID = "", CreatedAt, Status }) => ({
        ID,
        Name: `${names.get(ServiceID) ?? ServiceID}.${Slot ?? NodeID}`,
        State: Status.State,
        CreatedAt,
        Err: Status.Err ?? ""
      })
    )
  }
}

/** Of a job how many of its tasks have done their work, and how many are to. */
function doneOf(spec: ServiceSpec, { CompletedTasks = 0, DesiredTasks }: Service["ServiceStatus"]) {
  if (!modeOf(spec).endsWith("-job")) return {}
  return {
    CompletedTasks,
    TotalCompletions: spec.Mode?.ReplicatedJob?.TotalCompletions ?? DesiredTasks
  }
}

const leaderless =
  "This manager hears of no leader: nothing can be changed, and this is what it knew last.\n" +
  "Bring back managers until more than half are there. Where they are lost for good, docker swarm init --force-new-cluster goes on with this one alone."

/** A job's tasks are wanted to complete. */
export const wanted = /^(ready|running|complete)$/

const isUnwell = ({ DesiredState, Status }: Task): boolean =>
  wanted.test(DesiredState) && Status.State !== "running" && (Status.Err ?? "") !== ""

/** What keeps a slot of an exclusive service from being filled: its task on a node that is down. */
export function whatIsKept(
  services: ReadonlyArray<Service>,
  nodes: ReadonlyArray<Node>,
  tasks: ReadonlyArray<Task>
): ReadonlyArray<Task> {
  const exclusive = new Set(services.filter(({ Spec }) => isExclusive(Spec)).map(({ ID }) => ID))
  const down = new Map(nodes.filter(({ Status }) => Status.State === "down").map((node) => [node.ID, node]))
  return tasks.flatMap((task) => {
    const node = down.get(task.NodeID ?? "")
    if (node === undefined || task.Status.State !== "running" || !exclusive.has(task.ServiceID)) return []
    const Err = keptBy(node.Description?.Hostname || node.ID, node.ID)
    return [{ ...task, Status: { ...task.Status, State: "unknown", Err } }]
  })
}

/** `now` is milliseconds since the epoch. */
export function showStatus(glance: Glance, now: number): string {
  const { Cluster, State, EngineVersion, Nodes, Services, Alerts, Waiting } = glance
  const nodes = Nodes.map((node) => [
    `${node.Name}${node.Self ? " *" : ""}`,
    node.State,
    node.Availability,
    node.Leader ? "leader" : node.Role,
    node.Addr
  ])
  const services = Services.map(({ Name, Mode, UpdateStatus: update, ...counts }) => [
    Name,
    Mode.replace("-", " "),
    // As `docker service ls` tells a job.
    `${counts.RunningTasks}/${counts.DesiredTasks}${counts.TotalCompletions === undefined ? "" : ` (${counts.CompletedTasks}/${counts.TotalCompletions} completed)`}`,
    update === undefined || update.State === "completed" ? "" : `${update.State}: ${update.Message}`
  ])
  const waiting = Waiting.map(({ Name, State, CreatedAt, Err }) => [
    Name,
    State,
    duration(now - Date.parse(CreatedAt)),
    Err
  ])
  return [
    ...(glance.Stale ? [leaderless] : []),
    `cluster ${Cluster || "?"}, ${State}; Engine ${EngineVersion}`,
    table(["NODE", "STATE", "AVAILABILITY", "ROLE", "ADDRESS"], nodes),
    services.length === 0 ? "no services" : table(["SERVICE", "MODE", "TASKS", "UPDATE"], services),
    ...(Alerts.length === 0 ? [] : [alertTable(Alerts)]),
    ...(waiting.length === 0 ? [] : [table(["WAITING", "STATE", "SINCE", "WHY"], waiting)])
  ].join("\n\n")
}
