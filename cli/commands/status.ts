/** `troupe status`: the cluster at a glance, and what in it is not as it should be. */
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { isExclusive, keptBy } from "#actors/model/exclusive.ts"
import { type Api, apiAt, isLeaderless, socketFlag, staleApiAt } from "#cli/client.ts"
import { type Alert, alertTable } from "#cli/commands/alerts.ts"
import { duration } from "#cli/print/ago.ts"
import { table } from "#cli/print/table.ts"

interface Info {
  readonly ServerVersion: string
  readonly Swarm: {
    readonly NodeID: string
    readonly LocalNodeState: string
    readonly Error?: string
    readonly Cluster?: { readonly ID: string }
  }
}
interface Node {
  readonly ID: string
  readonly Spec: { readonly Role: string; readonly Availability: string }
  readonly Description?: { readonly Hostname: string }
  readonly Status: { readonly State: string; readonly Message?: string; readonly Addr?: string }
  readonly ManagerStatus?: { readonly Leader?: boolean }
}
interface Service {
  readonly ID: string
  readonly Spec: {
    readonly Name: string
    readonly Labels?: Readonly<Record<string, string>>
    readonly Mode: { readonly Global?: object }
  }
  readonly ServiceStatus: { readonly RunningTasks: number; readonly DesiredTasks: number }
  readonly UpdateStatus?: { readonly State: string; readonly Message: string }
}
interface Task {
  readonly ID: string
  readonly ServiceID: string
  readonly NodeID?: string
  readonly Slot?: number
  readonly DesiredState: string
  readonly CreatedAt: string
  readonly Status: {
    readonly State: string
    readonly Err?: string
    readonly Message?: string
    readonly Timestamp: string
  }
}

const isUnwell = (task: Task): boolean =>
  (task.DesiredState === "running" || task.DesiredState === "ready") &&
  task.Status.State !== "running" &&
  (task.Status.Err ?? "") !== ""

/** What keeps a slot of an exclusive service from being filled: its task on a node that is down. */
function whatIsKept(
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

export const status = Command.make(
  "status",
  { socket: socketFlag },
  Effect.fn(function* ({ socket }) {
    const known = yield* Effect.result(askAll(apiAt(socket)))
    if (known._tag === "Success") return yield* show(known.success)
    const { failure } = known
    if (!isLeaderless(failure)) return yield* failure
    yield* Console.log(
      "This manager hears of no leader: nothing can be changed, and this is what it knew last.\n" +
        "Bring back managers until more than half are there. Where they are lost for good, docker swarm init --force-new-cluster goes on with this one alone.\n"
    )
    const [info, nodes, ...rest] = yield* askAll(staleApiAt(socket))
    yield* show([info, nodes.map(({ ManagerStatus: _led, ...node }) => node), ...rest])
    return yield* failure
  })
).pipe(Command.withDescription("The cluster at a glance"))

const askAll = ({ get }: Api) =>
  Effect.all(
    [
      get<Info>("/info"),
      get<ReadonlyArray<Node>>("/nodes"),
      get<ReadonlyArray<Service>>("/services?status=true"),
      get<ReadonlyArray<Task>>("/tasks"),
      // A leader of an earlier release tells nobody else.
      get<ReadonlyArray<Alert>>("/alerts").pipe(Effect.orElseSucceed(() => []))
    ],
    { concurrency: "unbounded" }
  )

const show = Effect.fnUntraced(function* ([info, nodes, services, tasks, alerts]: Effect.Success<
  ReturnType<typeof askAll>
>) {
  yield* Console.log(
    `cluster ${info.Swarm.Cluster?.ID ?? "?"}, ${info.Swarm.LocalNodeState}; Engine ${info.ServerVersion}\n`
  )
  const nodeRows = nodes.map((node) => [
    `${node.Description?.Hostname ?? node.ID}${node.ID === info.Swarm.NodeID ? " *" : ""}`,
    node.Status.State,
    node.Spec.Availability,
    node.ManagerStatus?.Leader === true ? "leader" : node.Spec.Role,
    node.Status.Addr ?? ""
  ])
  yield* Console.log(`${table(["NODE", "STATE", "AVAILABILITY", "ROLE", "ADDRESS"], nodeRows)}\n`)
  const serviceRows = services.map(({ Spec: spec, ServiceStatus: counts, UpdateStatus: update }) => [
    spec.Name,
    spec.Mode.Global === undefined ? "replicated" : "global",
    `${counts.RunningTasks}/${counts.DesiredTasks}`,
    update === undefined || update.State === "completed" ? "" : `${update.State}: ${update.Message}`
  ])
  yield* Console.log(
    serviceRows.length === 0 ? "no services" : table(["SERVICE", "MODE", "TASKS", "UPDATE"], serviceRows)
  )
  if (alerts.length > 0) yield* Console.log(`\n${alertTable(alerts)}`)
  const names = new Map(services.map((service) => [service.ID, service.Spec.Name]))
  const unwell = [...tasks.filter(isUnwell), ...whatIsKept(services, nodes, tasks)]
  if (unwell.length === 0) return
  const rows = unwell.map((task) => [
    `${names.get(task.ServiceID) ?? task.ServiceID}.${task.Slot ?? ""}`,
    task.Status.State,
    duration(Date.now() - Date.parse(task.CreatedAt)),
    task.Status.Err ?? ""
  ])
  yield* Console.log(`\n${table(["WAITING", "STATE", "SINCE", "WHY"], rows)}`)
})
