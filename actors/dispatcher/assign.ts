/**
 * What a node should hold now, joined from tasks, services, networks, secrets and configs; what differs between
 * two such goals; and who answers a published port.
 */

import { Leaving } from "#actors/dispatcher/leaving.ts"
import { ownSecretId, Provisions, readingOwn } from "#actors/dispatcher/provide.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import type { Attachment, Service, Task } from "#actors/model/objects.ts"
import { equal, isIngress, nameOfTask, protocolOf } from "#actors/model/service-facts.ts"
import type { SecretSpec, TaskSpec } from "#actors/model/spec.ts"
import { isBefore, isLive } from "#actors/model/task-state.ts"
import { waitsForGateway } from "#actors/network/allot-gateways.ts"
import { certificates, endsTls } from "#actors/network/certificates.ts"
import { planOf } from "#actors/network/plan.ts"
import { publishedAt } from "#actors/network/publish-at.ts"
import { takesTraffic } from "#actors/network/tabulate.ts"
import type {
  AssignedFile,
  AssignedNetwork,
  AssignedPort,
  AssignedTask,
  AssignedVolume,
  FromLeader
} from "#actors/node/protocol.ts"
import { secretsOf } from "#actors/volumes/secrets-of.ts"
import { uses } from "#actors/volumes/uses.ts"

/** Everything one node should hold, by id. */
export interface Goal {
  readonly tasks: ReadonlyMap<string, AssignedTask>
  readonly networks: ReadonlyMap<string, typeof AssignedNetwork.Type>
  readonly secrets: ReadonlyMap<string, AssignedFile>
  readonly configs: ReadonlyMap<string, AssignedFile>
  readonly volumes: ReadonlyMap<string, AssignedVolume>
}

type Port = typeof AssignedPort.Type
type Backends = Port["backends"]

export const nothing: Goal = {
  tasks: new Map(),
  networks: new Map(),
  secrets: new Map(),
  configs: new Map(),
  volumes: new Map()
}

/** The part of an `Assign` that the goals decide. */
export type Assignment = Omit<Extract<FromLeader, { _tag: "Assign" }>, "_tag" | "session" | "seq" | "ports">

/** What the dispatcher knows beside the ledger. */
export interface Circumstances {
  readonly provisions: Provisions
  readonly leaving: Leaving
}

/**
 * What `nodeId` should hold. Tasks are there from `assigned` until they are deleted, ended ones included, because
 * their containers are their history. `before` is what it held: tasks of a removed service keep what they had. One that
 * was only just placed waits until the node has an address of its own on each of its networks, and until the drivers of
 * its secrets have answered: `provisions` is what they gave, and hears what is to be asked. One that is `leaving` is not
 * told to stop yet.
 */
export function goalOf(
  ledger: LedgerReader,
  nodeId: string,
  before: Goal = nothing,
  { provisions = new Provisions(), leaving = new Leaving() }: Partial<Circumstances> = {}
): Goal {
  const tasks = new Map<string, AssignedTask>()
  const networks = new Map<string, typeof AssignedNetwork.Type>()
  const secrets = new Map<string, AssignedFile>()
  const configs = new Map<string, AssignedFile>()
  const node = ledger.get("node", nodeId)
  const addNetwork = (id: string): void => {
    const network = networks.has(id) ? undefined : ledger.get("network", id)
    if (network !== undefined) networks.set(id, planOf(network, node))
  }
  // The ingress network may be there without a task.
  for (const { NetworkID } of node?.Gateways ?? []) addNetwork(NetworkID)
  for (const task of ledger.tasksOfNode(nodeId)) {
    if (isBefore(task.Status.State, "assigned")) continue
    const isNew = task.Status.State === "assigned" && !before.tasks.has(task.ID)
    if (isNew && node !== undefined && waitsForGateway(ledger, node, task)) continue
    const known = assignedTask(ledger, task, before.tasks.get(task.ID), leaving)
    const provided = providedTo(ledger, task, known, before, provisions)
    if (isNew && provided.isAwaited) continue
    const assigned = {
      ...known,
      spec: readingOwn(known.spec, task.ID, provided.own),
      ...(provided.withheld.size === 0 ? {} : { withheld: Object.fromEntries(provided.withheld) })
    }
    tasks.set(task.ID, assigned)
    if (!isLive(task.Status.State)) continue
    for (const { NetworkID } of task.Attachments ?? []) addNetwork(NetworkID)
    // A task that is on its way out has read its files; a new one must not find them here.
    if (isBefore("complete", task.DesiredState)) continue
    for (const { SecretID: id } of known.spec.ContainerSpec?.Secrets ?? []) {
      const secret = id === undefined || secrets.has(id) ? undefined : ledger.get("secret", id)
      if (secret !== undefined && secret.Spec.Driver === undefined)
        secrets.set(secret.ID, assignedFile(secret))
    }
    for (const file of provided.files) if (!secrets.has(file.id)) secrets.set(file.id, file)
    for (const { ConfigID: id } of assigned.spec.ContainerSpec?.Configs ?? []) {
      const config = id === undefined || configs.has(id) ? undefined : ledger.get("config", id)
      if (config !== undefined) configs.set(config.ID, assignedFile(config))
    }
  }
  if (node !== undefined && endsTls(node)) {
    for (const secret of ledger.view(certificates).secrets) secrets.set(secret.ID, assignedFile(secret))
  }
  return { tasks, networks, secrets, configs, volumes: volumesOf(ledger, nodeId) }
}

/** A volume is a node's from when it has been published to it until the node has said that it let go. */
function volumesOf(ledger: LedgerReader, nodeId: string): ReadonlyMap<string, AssignedVolume> {
  const volumes = new Map<string, AssignedVolume>()
  for (const id of ledger.view(uses).publishedOn(nodeId)) {
    const volume = ledger.get("volume", id)
    const status = volume?.PublishStatus.find(({ NodeID }) => NodeID === nodeId)
    if (volume === undefined || status === undefined) continue
    const leaving = status.State === "pending-node-unpublish"
    if (status.State !== "published" && !leaving) continue
    volumes.set(id, {
      id,
      driver: volume.Spec.Driver.Name ?? "",
      volumeId: volume.Info?.VolumeID ?? "",
      accessMode: volume.Spec.AccessMode,
      context: volume.Info?.VolumeContext ?? {},
      publishContext: status.PublishContext ?? {},
      secrets: leaving ? {} : secretsOf(ledger, volume),
      ...(leaving ? { leaving: true as const } : {})
    })
  }
  return volumes
}

interface Provided {
  readonly files: ReadonlyArray<AssignedFile>
  /** Secrets, by their ids, of which the task has a value of its own. */
  readonly own: ReadonlySet<string>
  /** By secret, why its driver gave nothing. */
  readonly withheld: ReadonlyMap<string, string>
  readonly isAwaited: boolean
}

/**
 * What drivers gave a task. What a node has of them already is good for its other tasks, too, unless it is one task's own;
 * where a driver gave nothing the task goes without, and the node says so.
 */
function providedTo(
  ledger: LedgerReader,
  task: Task,
  { spec }: AssignedTask,
  before: Goal,
  provisions: Provisions
): Provided {
  const files: Array<AssignedFile> = []
  const own = new Set<string>()
  const withheld = new Map<string, string>()
  let isAwaited = false
  for (const { SecretID = "" } of spec.ContainerSpec?.Secrets ?? []) {
    const secret = ledger.get("secret", SecretID)
    if (secret?.Spec.Driver === undefined || !isLive(task.Status.State)) continue
    const shared = before.secrets.get(secret.ID)
    const provision = shared === undefined ? provisions.ask(ledger, task, secret) : undefined
    if (shared !== undefined) files.push(shared)
    else if (provision === undefined) isAwaited = true
    else if ("data" in provision) {
      if (provision.own) own.add(secret.ID)
      const id = provision.own ? ownSecretId(secret.ID, task.ID) : secret.ID
      files.push({ ...assignedFile(secret), id, data: provision.data })
    } else withheld.set(secret.ID, provision.problem)
  }
  return { files, own, withheld, isAwaited }
}

function assignedTask(
  ledger: LedgerReader,
  task: Task,
  before: AssignedTask | undefined,
  leaving: Leaving
): AssignedTask {
  const service = ledger.get("service", task.ServiceID)
  const state = task.Status.State
  const desired = leaving.has(task.ID) ? (before?.desired ?? "running") : task.DesiredState
  if (service === undefined && before !== undefined) return { ...before, desired, state }
  // Nobody knows the name of a service that is gone; the container is found by its task's id all the same.
  const serviceName = service?.Spec.Name ?? task.ServiceID
  const hostPorts = (service?.Spec.EndpointSpec?.Ports ?? []).filter((port) => !isIngress(port))
  const labels = service?.Spec.Labels
  return {
    id: task.ID,
    serviceId: task.ServiceID,
    serviceName,
    name: nameOfTask(serviceName, task),
    ...(task.Slot === undefined ? {} : { slot: task.Slot }),
    spec: withLogDriver(ledger, ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? {}),
    ...(hostPorts.length === 0 ? {} : { hostPorts }),
    attachments: task.Attachments ?? [],
    ...(task.AssignedGenericResources === undefined
      ? {}
      : { genericResources: task.AssignedGenericResources }),
    desired,
    state,
    ...(task.Volumes === undefined ? {} : { volumes: task.Volumes }),
    ...(service?.RegistryAuth === undefined ? {} : { registryAuth: service.RegistryAuth }),
    ...(labels === undefined ? {} : { labels })
  }
}

/** A task whose service says nothing of logs takes the cluster's default, if there is one. */
function withLogDriver(ledger: LedgerReader, spec: TaskSpec): TaskSpec {
  const usual = ledger.cluster()?.Spec.TaskDefaults?.LogDriver
  return spec.LogDriver !== undefined || usual === undefined ? spec : { ...spec, LogDriver: usual }
}

interface File {
  readonly ID: string
  readonly Spec: Pick<SecretSpec, "Name" | "Data" | "Templating">
}
const assignedFile = (file: File): AssignedFile => ({
  id: file.ID,
  name: file.Spec.Name ?? "",
  data: file.Spec.Data ?? "",
  ...(file.Spec.Templating?.Name && { template: file.Spec.Templating.Name })
})

/** All of a goal, as a node that holds nothing is told it. */
export const completeAssignment = (goal: Goal): Assignment => ({
  complete: true,
  tasks: [...goal.tasks.values()],
  removed: [],
  networks: [...goal.networks.values()],
  secrets: [...goal.secrets.values()],
  configs: [...goal.configs.values()],
  ...(goal.volumes.size === 0 ? {} : { volumes: [...goal.volumes.values()] }),
  dropped: []
})

/** What turns `before` into `after`; `undefined` when the node would hear nothing new. */
export function differenceOf(before: Goal, after: Goal): Assignment | undefined {
  // Of most nodes only ports or overlays have changed, which the goal does not have.
  if (before === after) return undefined
  const tasks: Array<AssignedTask> = []
  for (const [id, task] of after.tasks) {
    const known = before.tasks.get(id)
    if (known === undefined || !isSameTask(known, task)) tasks.push(task)
  }
  const networks = changed(before.networks, after.networks)
  const secrets = newcomers(before.secrets, after.secrets)
  const configs = newcomers(before.configs, after.configs)
  const volumes = changed(before.volumes, after.volumes)
  const removed = leavers(before.tasks, after.tasks)
  const dropped = [
    ...leavers(before.networks, after.networks),
    ...leavers(before.secrets, after.secrets),
    ...leavers(before.configs, after.configs),
    ...leavers(before.volumes, after.volumes)
  ]
  const news = tasks.length + networks.length + secrets.length + configs.length + volumes.length
  if (news + removed.length + dropped.length === 0) return undefined
  const difference = { complete: false, tasks, removed, networks, secrets, configs, dropped }
  return volumes.length === 0 ? difference : { ...difference, volumes }
}

/** What a node reported of a task is no news to it. */
function isSameTask(a: AssignedTask, b: AssignedTask): boolean {
  const { state: _a, ...left } = a
  const { state: _b, ...right } = b
  return equal(left, right)
}

/** Files keep their content as long as they have their id, so one that is known is not sent again. */
const newcomers = <T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): ReadonlyArray<T> =>
  [...after].filter(([id]) => !before.has(id)).map(([, value]) => value)

const changed = <T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): ReadonlyArray<T> =>
  [...after].flatMap(([id, value]) => (equal(before.get(id), value) ? [] : [value]))

const leavers = (before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>) =>
  [...before.keys()].filter((id) => !after.has(id))

/** The service's ports in ingress mode, each with the running tasks that answer it, in the order of their ids. */
export function portsOf(ledger: LedgerReader, service: Service): ReadonlyArray<Port> {
  const ports: Array<Port> = []
  let backends: Backends | undefined
  const only = publishedAt(service.Spec.Labels)
  for (const port of service.Endpoint?.Ports ?? []) {
    const protocol = protocolOf(port)
    const { PublishedPort: publishedPort = 0, TargetPort: targetPort = 0 } = port
    if (!isIngress(port) || protocol === "sctp" || publishedPort === 0 || targetPort === 0) continue
    backends ??= backendsOf(ledger, service)
    ports.push({
      serviceId: service.ID,
      serviceName: service.Spec.Name ?? service.ID,
      protocol,
      publishedPort,
      targetPort,
      ...(only !== undefined && { only }),
      backends
    })
  }
  return ports
}

function backendsOf(ledger: LedgerReader, service: Service): Backends {
  const backends: Array<Backends[number]> = []
  for (const task of ledger.tasksOfService(service.ID)) {
    if (!takesTraffic(task) || task.NodeID === undefined) continue
    const address = addressOf(ledger, task.Attachments ?? [])
    if (address !== undefined) backends.push({ taskId: task.ID, nodeId: task.NodeID, address })
  }
  return backends.sort((a, b) => (a.taskId < b.taskId ? -1 : 1))
}

/** Where published traffic reaches a task: on the ingress network, else on its first; without prefix length. */
function addressOf(ledger: LedgerReader, attachments: ReadonlyArray<Attachment>): string | undefined {
  const ingress = attachments.find(({ NetworkID }) => ledger.get("network", NetworkID)?.Ingress === true)
  const cidr = (ingress ?? attachments[0])?.Addresses[0]
  return cidr && withoutPrefix(cidr)
}
