/** Which actors of the leader hear of which changes of the ledger, and what they are told. */
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import type { DispatcherMessage } from "#actors/dispatcher/protocol.ts"
import { hide } from "#actors/ledger/history.ts"
import type { Change, ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import type { ReaperMessage } from "#actors/manager/reaper.ts"
import type { Cluster, Node, Task, Volume } from "#actors/model/objects.ts"
import { modeOf } from "#actors/model/service-facts.ts"
import { findsNoNode, isBefore, isTerminal, isWanted } from "#actors/model/task-state.ts"
import { toMs } from "#actors/model/time.ts"
import { usesVolume } from "#actors/model/volume-facts.ts"
import { hasPlace } from "#actors/network/allot.ts"
import { gatewayOn, waitsForGateway } from "#actors/network/allot-gateways.ts"
import { certificates } from "#actors/network/certificates.ts"
import { isPlaced, reach } from "#actors/network/reach.ts"
import type { SchedulerMessage } from "#actors/scheduler/protocol.ts"
import { look } from "#actors/service/protocol.ts"
import type { VolumesMessage } from "#actors/volumes/protocol.ts"
import { type CommonAction, dismiss, spawn, tell } from "#runtime/actions.ts"
import { type Address, address } from "#runtime/address.ts"

const home = "leader"
export const allocatorAt = address(home, "allocator", "main")
export const schedulerAt = address(home, "scheduler", "main")
export const dispatcherAt = address(home, "dispatcher", "main")
export const reaperAt = address(home, "reaper", "main")
export const volumesAt = address(home, "volumes", "main")
export const serviceAt = (id: string): Address => address(home, "service", id)

const toScheduler = (message: SchedulerMessage): CommonAction => tell(schedulerAt, message)
const toDispatcher = (message: DispatcherMessage): CommonAction => tell(dispatcherAt, message)
const toReaper = (message: ReaperMessage): CommonAction => tell(reaperAt, message)

/** What the feed needs beside the ledger. */
export interface Route {
  readonly ledger: LedgerReader
  /** Services that have a task on every node, so every node's change is theirs. Changes in place. */
  readonly everywhere: Set<string>
  /** Props of the actors that the feed starts. */
  readonly serviceProps: unknown
  readonly nodeProps: unknown
}

/** Gathers, for one set of changes, who is to be told. */
class Audience {
  readonly services = new Set<string>()
  readonly reaped: Array<Task> = []
  readonly started: Array<CommonAction> = []
  readonly failures: Array<CommonAction> = []
  allocator = false
  scheduler = false
  volumes = false
}

/** The actions by which the leader's actors hear of `set`. */
export function route(to: Route, set: ChangeSet): ReadonlyArray<CommonAction> {
  const audience = new Audience()
  for (const change of set.changes) hear(to, change, audience)
  const actions: Array<CommonAction> = [...audience.started, ...audience.failures]
  if (audience.allocator) actions.push(tell(allocatorAt, { _tag: "Look" }))
  if (audience.volumes) actions.push(tell(volumesAt, { _tag: "Look" } satisfies VolumesMessage))
  if (audience.scheduler) actions.push(toScheduler({ _tag: "Look" }))
  const changes = set.changes.filter(concernsDispatcher).map(recordable)
  if (changes.length > 0) actions.push(toDispatcher({ _tag: "Changed", changes }))
  for (const id of audience.services) actions.push(tell(serviceAt(id), look))
  if (audience.reaped.length > 0) actions.push(toReaper({ _tag: "Touched", tasks: audience.reaped }))
  return actions
}

/** Of the cluster's roots and keys, secrets and configs it reads what it needs from the ledger; a message would be recorded. */
const concernsDispatcher = ({ kind }: Change): boolean =>
  kind !== "cluster" && kind !== "secret" && kind !== "config"

/** What opens a manager's door would be missing where the message is recorded, and a replay stops there. */
function recordable(change: Change): Change {
  if (change.kind !== "node") return change
  const { kind, before, after } = change
  return { kind, ...(before && { before: hide(kind, before) }), ...(after && { after: hide(kind, after) }) }
}

function hear(to: Route, change: Change, audience: Audience): void {
  switch (change.kind) {
    case "task":
      hearTask(to, change.before, change.after, audience)
      return
    case "service": {
      const { before, after } = change
      const id = after?.ID ?? before?.ID ?? ""
      // It looks through all services: one without ports and networks is no reason to.
      if ([before, after].some((service) => service !== undefined && hasPlace(service)))
        audience.allocator = true
      if (after !== undefined && modeOf(after.Spec).startsWith("global")) to.everywhere.add(id)
      else to.everywhere.delete(id)
      // One that is there goes on; one that is not wanted any more ends by itself.
      if (after !== undefined && asksForScaling(after.Spec))
        audience.started.push(spawn("autoscaler", id, to.serviceProps))
      // A service's actor starts by looking.
      if (before === undefined) audience.started.push(spawn("service", id, to.serviceProps))
      else audience.services.add(id)
      return
    }
    case "node":
      hearNode(to, change.before, change.after, audience)
      return
    case "network":
      audience.allocator = true
      // A service learns that its tasks lack an address only once the network has some to give.
      if (change.after?.Vni !== undefined && change.before?.Vni === undefined) {
        for (const service of to.ledger.servicesUsing("network", change.after.ID))
          audience.services.add(service.ID)
      }
      return
    case "volume":
      hearVolume(to, change.before, change.after, audience)
      return
    case "cluster":
      // Tasks that ended long ago may be more than are to be kept.
      if (historyLimit(change.before) !== historyLimit(change.after))
        audience.started.push(toReaper({ _tag: "Scan" }))
      // What may be given depends on it.
      if (change.before?.FeatureLevel !== change.after?.FeatureLevel) audience.allocator = true
      return
    case "secret": {
      const secret = change.after ?? change.before
      const services = secret && to.ledger.view(certificates).servicesTouchedBy(secret)
      if (services !== undefined && services.length > 0)
        audience.started.push(toDispatcher({ _tag: "Certificates", services }))
      return
    }
    default:
      return
  }
}

/** Tasks may have waited for it, and those that use one which is drained go elsewhere. */
function hearVolume(
  { ledger }: Route,
  before: Volume | undefined,
  after: Volume | undefined,
  audience: Audience
): void {
  audience.volumes = true
  audience.scheduler = true
  if (after?.Spec.Availability !== "drain" || before?.Spec.Availability === "drain") return
  for (const { NodeID } of after.PublishStatus) {
    for (const task of ledger.tasksOfNode(NodeID)) {
      const isTheirs = usesVolume(task, after.ID) && ledger.get("service", task.ServiceID) !== undefined
      if (isTheirs) audience.services.add(task.ServiceID)
    }
  }
}

const historyLimit = (cluster: Cluster | undefined): number | undefined =>
  cluster?.Spec.Orchestration?.TaskHistoryRetentionLimit

function hearTask(to: Route, before: Task | undefined, after: Task | undefined, audience: Audience): void {
  const task = after ?? before
  if (task === undefined) return
  const was = before?.Status.State
  const is = after?.Status.State
  if (is === "new") audience.allocator = true
  if (is === "pending" && was !== "pending") audience.scheduler = true
  const ended = is !== undefined && isTerminal(is) && (was === undefined || !isTerminal(was))
  const released = before !== undefined && isWanted(before) && (after === undefined || !isWanted(after))
  if (ended || released || after === undefined) {
    // Room on a node, and addresses on a network.
    audience.scheduler = true
    audience.allocator ||= to.ledger.tasksInState("new").next().done === false
  }
  if (ended && after !== undefined && (is === "failed" || is === "rejected") && after.NodeID !== undefined) {
    audience.failures.push(
      toScheduler({
        _tag: "Failed",
        serviceId: after.ServiceID,
        specVersion: after.SpecVersion,
        nodeId: after.NodeID,
        at: toMs(after.UpdatedAt)
      })
    )
  }
  if (task.Volumes !== undefined && (ended || after === undefined)) audience.volumes = true
  const isReapable = after !== undefined && (ended || !isWanted(after) || before === undefined)
  if (concernsGateways(to.ledger, before, after)) audience.allocator = true
  if (isReapable) audience.reaped.push(after)
  if (concernsService(before, after, ended, released)) {
    if (to.ledger.get("service", task.ServiceID) !== undefined) audience.services.add(task.ServiceID)
  }
}

/** Its node lacks an address of its own on one of the task's networks, or has one that nothing needs any more. */
function concernsGateways(ledger: LedgerReader, before: Task | undefined, after: Task | undefined): boolean {
  const was = before !== undefined && isPlaced(before)
  const is = after !== undefined && isPlaced(after)
  const node = ledger.get("node", (is ? after.NodeID : before?.NodeID) ?? "")
  if (was === is || node === undefined) return false
  if (is) return waitsForGateway(ledger, node, after)
  return (before?.Attachments ?? []).some(
    ({ NetworkID }) =>
      gatewayOn(node, NetworkID) !== undefined && !ledger.view(reach).of(NetworkID).has(node.ID)
  )
}

/** Its service decides nothing by how far a task has come on its way to running. */
function concernsService(
  before: Task | undefined,
  after: Task | undefined,
  ended: boolean,
  released: boolean
): boolean {
  if (before === undefined || after === undefined) return after === undefined
  const runs = after.Status.State === "running" && before.Status.State !== "running"
  // Whoever waits for it to take his place waits in vain.
  const isHomeless = findsNoNode(after) && !findsNoNode(before)
  return ended || released || runs || isHomeless || before.NodeID !== after.NodeID
}

function hearNode(to: Route, before: Node | undefined, after: Node | undefined, audience: Audience): void {
  const id = after?.ID ?? before?.ID ?? ""
  if (before === undefined) audience.started.push(spawn("node", id, to.nodeProps))
  if (after === undefined) audience.started.push(dismiss("node", id))
  audience.scheduler = true
  if (before?.Description?.CSIInfo !== after?.Description?.CSIInfo) audience.volumes = true
  // The ingress network is on every node that can have it.
  const isOther = before?.Description?.Executor !== after?.Description?.Executor
  if (before === undefined || isOther || before.Attached !== after?.Attached) audience.allocator = true
  if (before !== undefined && after !== undefined && isSameToServices(before, after)) return
  for (const serviceId of to.everywhere) audience.services.add(serviceId)
  for (const task of to.ledger.tasksOfNode(id)) {
    if (isBefore(task.DesiredState, "remove") && to.ledger.get("service", task.ServiceID) !== undefined) {
      audience.services.add(task.ServiceID)
    }
  }
}

const isSameToServices = (before: Node, after: Node): boolean =>
  before.Spec === after.Spec && before.Description === after.Description && before.Status === after.Status
