/**
 * What an entry of the log does to the tables. The final judge: whatever was checked before an entry was
 * proposed may have changed by the time it is applied, so every rule that must hold is checked here again.
 *
 * A refusal changes nothing. Texts are the Engine's, because scripts and people read them.
 */
import type { Applied, Command, Entry, TaskPatch } from "#actors/ledger/commands.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { Service, Task, TaskStatus } from "#actors/model/objects.ts"
import {
  isIngress,
  modeOf,
  networksOf,
  protocolOf,
  sameTemplate,
  showPort
} from "#actors/model/service-facts.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { isBefore, isTerminal, isWanted } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import { never } from "#runtime/assert.ts"

export type Result =
  | { readonly _tag: "Applied"; readonly applied: Applied }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }

type Of<Type extends Command["type"]> = Extract<Command, { type: Type }>
/** What applying a command yields beside its index, or why not. */
type Verdict = Omit<Applied, "index"> | Refusal

/** Carries the facts of the entry that is being applied. */
interface At {
  readonly index: number
  readonly time: string
}

const rpc = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`
const notFound = (what: string, id: string): Refusal => refuse("notFound", `${what} ${id} not found`)
const outOfSequence = refuse("outOfSequence", rpc("Unknown", "update out of sequence"))
const failedPrecondition = (text: string): Refusal =>
  refuse("failedPrecondition", rpc("FailedPrecondition", text))
const invalid = (text: string): Refusal => refuse("invalidArgument", rpc("InvalidArgument", text))

const isRefusal = (verdict: Verdict): verdict is Refusal => "code" in verdict

/** Applies one entry at `index`. The tables' `takeChanges` tells afterwards what it changed. */
export function apply(tables: LedgerTables, index: number, entry: Entry): Result {
  const at: At = { index, time: toIso(entry.time) }
  tables.index = index
  tables.time = entry.time
  const verdict = carryOut(tables, at, entry.command)
  return isRefusal(verdict)
    ? { _tag: "Refused", refusal: verdict }
    : { _tag: "Applied", applied: { index, ...verdict } }
}

function carryOut(tables: LedgerTables, at: At, command: Command): Verdict {
  switch (command.type) {
    case "cluster.create":
      return createCluster(tables, at, command)
    case "cluster.update":
      return updateCluster(tables, at, command)
    case "node.register":
      return registerNode(tables, at, command)
    case "node.update":
      return updateNode(tables, at, command)
    case "node.observe":
      return observeNodes(tables, at, command)
    case "node.remove":
      return removeNode(tables, at, command)
    case "service.create":
      return createService(tables, at, command)
    case "service.update":
      return updateService(tables, at, command)
    case "service.progress":
      return progressService(tables, at, command)
    case "service.allot":
      return allotServices(tables, at, command)
    case "service.remove":
      return removeObject(tables, "service", command.id)
    case "tasks.change":
      return changeTasks(tables, at, command)
    case "tasks.report":
      return reportTasks(tables, at, command)
    case "network.create":
      return createNetwork(tables, at, command)
    case "network.allot":
      return allotNetworks(tables, at, command)
    case "network.remove":
      return removeNetwork(tables, command.id)
    case "secret.create":
      return createNamed(tables, at, "secret", command.secret)
    case "secret.update":
      return relabel(tables, at, "secret", command)
    case "secret.remove":
      return removeUsable(tables, "secret", command.id)
    case "config.create":
      return createNamed(tables, at, "config", command.config)
    case "config.update":
      return relabel(tables, at, "config", command)
    case "config.remove":
      return removeUsable(tables, "config", command.id)
    default:
      return never(command)
  }
}

const born = (at: At) => ({ Version: { Index: at.index }, CreatedAt: at.time, UpdatedAt: at.time })
const touched = (at: At) => ({ Version: { Index: at.index }, UpdatedAt: at.time })

// --- cluster -------------------------------------------------------------------------------------------------

function createCluster(tables: LedgerTables, at: At, command: Of<"cluster.create">): Verdict {
  if (tables.cluster() !== undefined) {
    return refuse("failedPrecondition", "This node is already part of a swarm.")
  }
  tables.setCluster({ ...command.cluster, ...born(at) })
  tables.put("node", { ...command.node, ...born(at) })
  return { id: command.cluster.ID }
}

function updateCluster(tables: LedgerTables, at: At, command: Of<"cluster.update">): Verdict {
  const cluster = tables.cluster()
  if (cluster === undefined) return notFound("cluster", "default")
  if (cluster.Version.Index !== command.version) return outOfSequence
  tables.setCluster({
    ...cluster,
    Spec: command.spec,
    ...(command.tokens === undefined ? {} : { JoinTokens: command.tokens }),
    ...touched(at)
  })
  return { id: cluster.ID }
}

// --- nodes ---------------------------------------------------------------------------------------------------

function registerNode(tables: LedgerTables, at: At, { node }: Of<"node.register">): Verdict {
  const known = tables.get("node", node.ID)
  tables.put(
    "node",
    known === undefined
      ? { ...node, ...born(at) }
      : { ...known, ...node, Spec: known.Spec, CreatedAt: known.CreatedAt, ...touched(at) }
  )
  return { id: node.ID }
}

function updateNode(tables: LedgerTables, at: At, command: Of<"node.update">): Verdict {
  const node = tables.get("node", command.id)
  if (node === undefined) return notFound("node", command.id)
  if (node.Version.Index !== command.version) return outOfSequence
  const demotes = node.Spec.Role === "manager" && command.spec.Role === "worker"
  if (demotes && countManagers(tables) === 1) {
    return failedPrecondition("attempting to demote the last manager of the swarm")
  }
  tables.put("node", { ...node, Spec: command.spec, ...touched(at) })
  return { id: node.ID }
}

function countManagers(tables: LedgerTables): number {
  let managers = 0
  for (const node of tables.all("node")) if (node.Spec.Role === "manager") managers += 1
  return managers
}

function observeNodes(tables: LedgerTables, at: At, command: Of<"node.observe">): Verdict {
  const skipped: Array<string> = []
  for (const seen of command.nodes) {
    const node = tables.get("node", seen.id)
    if (node === undefined) {
      skipped.push(seen.id)
      continue
    }
    const leads = seen.leader ?? node.ManagerStatus?.Leader
    const changed =
      seen.status !== undefined ||
      seen.description !== undefined ||
      (seen.leader !== undefined && seen.leader !== (node.ManagerStatus?.Leader ?? false))
    const after = {
      ...node,
      ...(seen.status === undefined ? {} : { Status: { ...node.Status, ...seen.status } }),
      ...(seen.description === undefined ? {} : { Description: seen.description }),
      ...(seen.lastSeen === undefined ? {} : { LastSeen: seen.lastSeen }),
      ...(node.ManagerStatus === undefined || leads === undefined
        ? {}
        : { ManagerStatus: { ...node.ManagerStatus, Leader: leads } }),
      ...(changed ? touched(at) : {})
    }
    tables.put("node", after, !changed)
  }
  return { skipped }
}

function removeNode(tables: LedgerTables, at: At, command: Of<"node.remove">): Verdict {
  const node = tables.get("node", command.id)
  if (node === undefined) return notFound("node", command.id)
  if (node.Spec.Role === "manager") {
    return failedPrecondition(
      `node ${node.ID} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`
    )
  }
  if (!command.force && node.Status.State === "ready") {
    return failedPrecondition(`node ${node.ID} is not down and can't be removed`)
  }
  for (const task of [...tables.tasksOfNode(node.ID)]) {
    if (isTerminal(task.Status.State)) continue
    tables.put("task", {
      ...task,
      Status: { ...task.Status, Timestamp: at.time, State: "orphaned", Message: "node was removed" },
      ...touched(at)
    })
  }
  tables.remove("node", node.ID)
  return { id: node.ID }
}

// --- services ------------------------------------------------------------------------------------------------

/** Why a spec cannot stand beside what exists now: something it names is gone, or a port is taken. */
function conflictOf(tables: LedgerTables, id: string, spec: ServiceSpec): Refusal | undefined {
  for (const target of networksOf(spec)) {
    // Networks that are not ours (`host`, a node's own bridge) are named, and are each node's business.
    if (/^[a-z0-9]{25}$/.test(target) && tables.get("network", target) === undefined) {
      return notFound("network", target)
    }
  }
  for (const secret of spec.TaskTemplate?.ContainerSpec?.Secrets ?? []) {
    if (tables.get("secret", secret.SecretID ?? "") === undefined) {
      return invalid(`secret not found: ${secret.SecretName ?? secret.SecretID ?? ""}`)
    }
  }
  for (const config of spec.TaskTemplate?.ContainerSpec?.Configs ?? []) {
    if (config.Runtime === undefined || config.File !== undefined) {
      if (tables.get("config", config.ConfigID ?? "") === undefined) {
        return invalid(`config not found: ${config.ConfigName ?? config.ConfigID ?? ""}`)
      }
    }
  }
  for (const port of spec.EndpointSpec?.Ports ?? []) {
    const number = port.PublishedPort ?? 0
    if (number === 0) continue
    for (const other of tables.servicesPublishing(protocolOf(port), number)) {
      if (other.ID === id) continue
      const theirs = [...(other.Spec.EndpointSpec?.Ports ?? []), ...(other.Endpoint?.Ports ?? [])]
      const held = theirs.find((candidate) => showPort(candidate) === showPort(port))
      // Two services may both want a host's port: the scheduler keeps them on different nodes.
      if (held === undefined || (!isIngress(port) && !isIngress(held))) continue
      const how = isIngress(held) ? "as an ingress port" : "as a host-published port"
      return invalid(
        `port '${number}' is already in use by service '${other.Spec.Name ?? other.ID}' (${other.ID}) ${how}`
      )
    }
  }
  return undefined
}

function createService(tables: LedgerTables, at: At, { service }: Of<"service.create">): Verdict {
  const name = service.Spec.Name ?? ""
  if (tables.get("service", service.ID) !== undefined || tables.byName("service", name) !== undefined) {
    return refuse(
      "alreadyExists",
      rpc("AlreadyExists", `name conflicts with an existing object: service ${name} already exists`)
    )
  }
  const conflict = conflictOf(tables, service.ID, service.Spec)
  if (conflict !== undefined) return conflict
  tables.put("service", { ...service, ...born(at) })
  return { id: service.ID }
}

function updateService(tables: LedgerTables, at: At, command: Of<"service.update">): Verdict {
  const service = tables.get("service", command.id)
  if (service === undefined) return notFound("service", command.id)
  if (service.Version.Index !== command.version) return outOfSequence
  if (command.rollback === "previous") {
    if (service.PreviousSpec === undefined) {
      return failedPrecondition(`service ${service.ID} does not have a previous spec`)
    }
    const conflict = conflictOf(tables, service.ID, service.PreviousSpec)
    if (conflict !== undefined) return conflict
    tables.put("service", {
      ...swapped(service),
      PreviousSpec: service.Spec,
      PreviousSpecVersion: service.SpecVersion,
      UpdateStatus: { State: "rollback_started", StartedAt: at.time, Message: "manually requested rollback" },
      ...touched(at)
    })
    return { id: service.ID }
  }
  if ((command.spec.Name ?? "") !== (service.Spec.Name ?? "")) {
    return refuse("notImplemented", rpc("Unimplemented", "renaming services is not supported"))
  }
  if (modeOf(command.spec) !== modeOf(service.Spec)) {
    return refuse("notImplemented", rpc("Unimplemented", "service mode change is not allowed"))
  }
  const conflict = conflictOf(tables, service.ID, command.spec)
  if (conflict !== undefined) return conflict
  const auth =
    command.registryAuth ??
    (command.registryAuthFrom === "previous-spec" ? service.PreviousRegistryAuth : service.RegistryAuth)
  const { UpdateStatus: _status, RegistryAuth: _auth, PreviousRegistryAuth: _previous, ...kept } = service
  const isJob = service.JobStatus !== undefined
  tables.put("service", {
    ...kept,
    Spec: command.spec,
    SpecVersion: nextSpecVersion(service, command.spec, at),
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    ...(auth === undefined ? {} : { RegistryAuth: auth }),
    ...(service.RegistryAuth === undefined ? {} : { PreviousRegistryAuth: service.RegistryAuth }),
    ...(isJob
      ? {
          JobStatus: {
            JobIteration: { Index: (service.JobStatus?.JobIteration.Index ?? 0) + 1 },
            LastExecution: at.time
          }
        }
      : {}),
    ...touched(at)
  })
  return { id: service.ID }
}

/** A changed template gets the entry's index, which no earlier template of the service can have. */
function nextSpecVersion(service: Service, spec: ServiceSpec, at: At): number {
  const same = sameTemplate(service.Spec.TaskTemplate, spec.TaskTemplate)
  const sameNetworks = sameTemplate(
    { Networks: service.Spec.Networks ?? [] },
    { Networks: spec.Networks ?? [] }
  )
  return same && sameNetworks ? service.SpecVersion : at.index
}

/** The service with its previous spec as its spec, and none before it. */
function swapped(service: Service): Service {
  const { PreviousSpec: spec, PreviousSpecVersion: version, ...rest } = service
  const { RegistryAuth: _auth, PreviousRegistryAuth: auth, ...plain } = rest
  return {
    ...plain,
    Spec: spec ?? service.Spec,
    SpecVersion: version ?? service.SpecVersion,
    ...(auth === undefined ? {} : { RegistryAuth: auth })
  }
}

function progressService(tables: LedgerTables, at: At, command: Of<"service.progress">): Verdict {
  const service = tables.get("service", command.id)
  if (service === undefined) return notFound("service", command.id)
  if (service.Version.Index !== command.version) return outOfSequence
  // An automatic rollback uses the previous spec up: it can be asked for once only.
  const base = command.rollback === true && service.PreviousSpec !== undefined ? swapped(service) : service
  tables.put("service", { ...base, UpdateStatus: command.status, ...touched(at) })
  return { id: service.ID }
}

function allotServices(tables: LedgerTables, at: At, command: Of<"service.allot">): Verdict {
  const skipped: Array<string> = []
  for (const { id, version, endpoint } of command.services) {
    const service = tables.get("service", id)
    if (service === undefined || (version !== undefined && service.Version.Index !== version)) {
      skipped.push(id)
      continue
    }
    tables.put("service", { ...service, Endpoint: endpoint, ...touched(at) })
  }
  return { skipped }
}

function removeObject(tables: LedgerTables, kind: "service", id: string): Verdict {
  if (tables.get(kind, id) === undefined) return notFound(kind, id)
  tables.remove(kind, id)
  return { id }
}

// --- tasks ---------------------------------------------------------------------------------------------------

function changeTasks(tables: LedgerTables, at: At, command: Of<"tasks.change">): Verdict {
  const skipped: Array<string> = []
  for (const task of command.create) {
    const spec = tables.taskSpec(task.ServiceID, task.SpecVersion)
    if (spec === undefined || tables.get("task", task.ID) !== undefined) skipped.push(task.ID)
    else tables.put("task", { ...task, ...born(at) })
  }
  for (const patch of command.update) {
    const task = tables.get("task", patch.id)
    const stale = patch.version !== undefined && task?.Version.Index !== patch.version
    if (task === undefined || stale) skipped.push(patch.id)
    else tables.put("task", { ...patched(task, patch), ...touched(at) })
  }
  for (const id of command.remove) tables.remove("task", id)
  return { skipped }
}

function patched(task: Task, patch: TaskPatch): Task {
  const { id: _id, version: _version, Status: status, DesiredState: desired, ...rest } = patch
  return {
    ...task,
    ...rest,
    ...(status === undefined || isBefore(status.State, task.Status.State) ? {} : { Status: status }),
    // What a task is wanted for only moves on, as what it does.
    ...(desired === undefined || isBefore(desired, task.DesiredState) ? {} : { DesiredState: desired })
  }
}

function reportTasks(tables: LedgerTables, at: At, command: Of<"tasks.report">): Verdict {
  const skipped: Array<string> = []
  for (const { id, status } of command.statuses) {
    const task = tables.get("task", id)
    if (task === undefined || task.NodeID !== command.node || !advances(task.Status, status)) {
      skipped.push(id)
      continue
    }
    tables.put("task", { ...task, Status: { ...withContainer(task.Status), ...status }, ...touched(at) })
  }
  return { skipped }
}

/** A node speaks of the states from `accepted` to `rejected`, and only forward. */
function advances(known: TaskStatus, told: TaskStatus): boolean {
  if (isBefore(told.State, "accepted") || isBefore("rejected", told.State)) return false
  if (isTerminal(known.State)) return false
  return !isBefore(told.State, known.State)
}

/** What outlives a status: which container it was. */
function withContainer(status: TaskStatus): Partial<TaskStatus> {
  return status.ContainerStatus === undefined ? {} : { ContainerStatus: status.ContainerStatus }
}

// --- networks, secrets, configs ------------------------------------------------------------------------------

function createNetwork(tables: LedgerTables, at: At, { network }: Of<"network.create">): Verdict {
  if (tables.byName("network", network.Name) !== undefined) {
    return refuse("alreadyExists", `network with name ${network.Name} already exists`)
  }
  if (network.Ingress) {
    for (const other of tables.all("network")) {
      if (other.Ingress) {
        return refuse(
          "alreadyExists",
          rpc("AlreadyExists", `ingress network (${other.ID}) is already present`)
        )
      }
    }
  }
  tables.put("network", { ...network, ...born(at) })
  return { id: network.ID }
}

function allotNetworks(tables: LedgerTables, at: At, command: Of<"network.allot">): Verdict {
  const skipped: Array<string> = []
  for (const { id, ipam, vni } of command.networks) {
    const network = tables.get("network", id)
    if (network === undefined) skipped.push(id)
    else tables.put("network", { ...network, IPAM: ipam, Vni: vni, ...touched(at) })
  }
  return { skipped }
}

function removeNetwork(tables: LedgerTables, id: string): Verdict {
  const network = tables.get("network", id)
  if (network === undefined) return notFound("network", id)
  if (network.Ingress) {
    for (const service of tables.all("service")) {
      const publishes = (service.Spec.EndpointSpec?.Ports ?? []).some(isIngress)
      if (publishes) {
        return failedPrecondition(
          `ingress network cannot be removed because service ${service.ID} depends on it`
        )
      }
    }
  }
  const [user] = tables.servicesUsing("network", id)
  if (user !== undefined) return failedPrecondition(`network ${id} is in use by service ${user.ID}`)
  for (const task of tables.all("task")) {
    // A stack is removed in one go: what is on its way out, or has lost its service, holds nothing back.
    const leaves = !isWanted(task) || tables.get("service", task.ServiceID) === undefined
    if (leaves || isTerminal(task.Status.State)) continue
    if (task.Attachments?.some((attachment) => attachment.NetworkID === id) === true) {
      return failedPrecondition(`network ${id} is in use by task ${task.ID}`)
    }
  }
  tables.remove("network", id)
  return { id }
}

function createNamed(
  tables: LedgerTables,
  at: At,
  kind: "secret" | "config",
  object: Of<"secret.create">["secret"] | Of<"config.create">["config"]
): Verdict {
  const name = object.Spec.Name ?? ""
  if (tables.byName(kind, name) !== undefined) {
    return refuse("alreadyExists", rpc("AlreadyExists", `${kind} ${name} already exists`))
  }
  tables.put(kind, { ...object, ...born(at) })
  return { id: object.ID }
}

function relabel(
  tables: LedgerTables,
  at: At,
  kind: "secret" | "config",
  command: Of<"secret.update"> | Of<"config.update">
): Verdict {
  const object = tables.get(kind, command.id)
  if (object === undefined) return notFound(kind, command.id)
  if (object.Version.Index !== command.version) return outOfSequence
  if (command.name !== (object.Spec.Name ?? "")) return invalid("only updates to Labels are allowed")
  tables.put(kind, { ...object, Spec: { ...object.Spec, Labels: command.labels }, ...touched(at) })
  return { id: object.ID }
}

function removeUsable(tables: LedgerTables, kind: "secret" | "config", id: string): Verdict {
  const object = tables.get(kind, id)
  if (object === undefined) return notFound(kind, id)
  const users = tables.servicesUsing(kind, id).map((service) => service.Spec.Name ?? service.ID)
  if (users.length > 0) {
    const which = users.length === 1 ? "service" : "services"
    return invalid(
      `${kind} '${object.Spec.Name ?? id}' is in use by the following ${which}: ${users.join(", ")}`
    )
  }
  tables.remove(kind, id)
  return { id }
}
