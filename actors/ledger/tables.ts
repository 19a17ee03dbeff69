/**
 * The whole state and its indexes. Only `apply` writes here; everyone else has it as a `LedgerReader`.
 *
 * Every write goes through `put` or `remove`, which keep the indexes and note the change for the feed.
 */
import { IdSets } from "#actors/ledger/index-sets.ts"
import type { Change, ChangeSet, Kind, LedgerReader, Tables } from "#actors/ledger/reader.ts"
import { Table } from "#actors/ledger/table.ts"
import type { Cluster, Service, Task } from "#actors/model/objects.ts"
import { networksOf, publishedPorts } from "#actors/model/service-facts.ts"
import type { ServiceSpec, TaskSpec } from "#actors/model/spec.ts"
import { assert } from "#runtime/assert.ts"

/** A version of a service's task template, kept while a service or a task points at it. */
interface KeptSpec {
  readonly spec: TaskSpec
  tasks: number
}

type Named = "service" | "network" | "secret" | "config"
const nameOf = (kind: Kind, object: Tables[Kind]): string | undefined => {
  if (kind === "network") return (object as Tables["network"]).Name
  if (kind === "service" || kind === "secret" || kind === "config") {
    return (object as Tables["service" | "secret" | "config"]).Spec.Name
  }
  return undefined
}

/** Everything that a spec refers to, as `kind:id`. */
function references(spec: ServiceSpec): ReadonlySet<string> {
  const found = new Set<string>()
  for (const target of networksOf(spec)) found.add(`network:${target}`)
  for (const secret of spec.TaskTemplate?.ContainerSpec?.Secrets ?? []) found.add(`secret:${secret.SecretID}`)
  for (const config of spec.TaskTemplate?.ContainerSpec?.Configs ?? []) found.add(`config:${config.ConfigID}`)
  return found
}

export class LedgerTables implements LedgerReader {
  index = 0
  time = 0
  #cluster: Cluster | undefined
  readonly #tables: { readonly [K in Kind]: Table<Tables[K]> } = {
    node: new Table(),
    service: new Table(),
    task: new Table(),
    network: new Table(),
    secret: new Table(),
    config: new Table()
  }
  readonly #names = new Map<string, string>()
  readonly #byService = new IdSets<string>()
  readonly #byNode = new IdSets<string>()
  readonly #bySlot = new IdSets<string>()
  readonly #waiting = new IdSets<"new" | "pending">()
  readonly #using = new IdSets<string>()
  readonly #ports = new IdSets<string>()
  readonly #specs = new Map<string, Map<number, KeptSpec>>()
  #changes: Array<Change> = []

  cluster(): Cluster | undefined {
    return this.#cluster
  }

  get<K extends Kind>(kind: K, id: string): Tables[K] | undefined {
    return this.#tables[kind].get(id)
  }

  all<K extends Kind>(kind: K): IterableIterator<Tables[K]> {
    return this.#tables[kind].values()
  }

  count(kind: Kind): number {
    return this.#tables[kind].size
  }

  byName<K extends Named>(kind: K, name: string): Tables[K] | undefined {
    const id = this.#names.get(`${kind}:${name}`)
    return id === undefined ? undefined : this.get(kind, id)
  }

  taskSpec(serviceId: string, specVersion: number): TaskSpec | undefined {
    return this.#specs.get(serviceId)?.get(specVersion)?.spec
  }

  tasksOfService(serviceId: string): IterableIterator<Task> {
    return this.#tasks(this.#byService.of(serviceId))
  }

  tasksOfNode(nodeId: string): IterableIterator<Task> {
    return this.#tasks(this.#byNode.of(nodeId))
  }

  tasksInSlot(serviceId: string, slot: number): IterableIterator<Task> {
    return this.#tasks(this.#bySlot.of(`${serviceId}.${slot}`))
  }

  tasksInState(state: "new" | "pending"): IterableIterator<Task> {
    return this.#tasks(this.#waiting.of(state))
  }

  servicesUsing(kind: "network" | "secret" | "config", id: string): ReadonlyArray<Service> {
    return this.#services(this.#using.of(`${kind}:${id}`))
  }

  /** Services that publish `protocol/port`, by wish or by allotment, in ingress or host mode. */
  servicesPublishing(protocol: string, port: number): ReadonlyArray<Service> {
    return this.#services(this.#ports.of(`${protocol}/${port}`))
  }

  setCluster(after: Cluster): void {
    const before = this.#cluster
    this.#cluster = after
    this.#changes.push(before === undefined ? { kind: "cluster", after } : { kind: "cluster", before, after })
  }

  /** Writes an object and notes the change, unless `quietly`, for what nobody waits to hear. */
  put<K extends Kind>(kind: K, after: Tables[K], quietly = false): void {
    const before = this.get(kind, after.ID)
    if (before !== undefined) this.#unindex(kind, before)
    this.#tables[kind].put(after)
    this.#reindex(kind, after)
    if (before !== undefined) this.#forgetSpecs(kind, before)
    if (!quietly) this.#note(kind, before, after)
  }

  remove(kind: Kind, id: string): void {
    const before = this.get(kind, id)
    if (before === undefined) return
    this.#unindex(kind, before)
    this.#tables[kind].delete(id)
    this.#forgetSpecs(kind, before)
    this.#note(kind, before, undefined)
  }

  /** What changed since the last call, as one set. */
  takeChanges(): ChangeSet {
    const changes = this.#changes
    this.#changes = []
    return { index: this.index, time: this.time, changes }
  }

  /** Every table as it is now, for a snapshot that is written while entries go on being applied. */
  freeze(): {
    readonly cluster: Cluster | undefined
    readonly tables: { readonly [K in Kind]: Iterable<Tables[K]> }
    readonly specs: ReadonlyArray<readonly [string, number, TaskSpec]>
  } {
    const specs: Array<readonly [string, number, TaskSpec]> = []
    for (const [serviceId, versions] of this.#specs) {
      for (const [version, kept] of versions) specs.push([serviceId, version, kept.spec])
    }
    return {
      cluster: this.#cluster,
      tables: {
        node: this.#tables.node.freeze(),
        service: this.#tables.service.freeze(),
        task: this.#tables.task.freeze(),
        network: this.#tables.network.freeze(),
        secret: this.#tables.secret.freeze(),
        config: this.#tables.config.freeze()
      },
      specs
    }
  }

  /** For restoring a snapshot: spec versions come before the tasks that point at them. */
  keepSpec(serviceId: string, version: number, spec: TaskSpec): void {
    const versions = this.#specs.get(serviceId) ?? new Map<number, KeptSpec>()
    if (!versions.has(version)) versions.set(version, { spec, tasks: 0 })
    this.#specs.set(serviceId, versions)
  }

  *#tasks(ids: ReadonlySet<string>): IterableIterator<Task> {
    for (const id of ids) {
      const task = this.#tables.task.get(id)
      assert(task !== undefined, "an index names only tasks that exist")
      yield task
    }
  }

  #services(ids: ReadonlySet<string>): ReadonlyArray<Service> {
    const services: Array<Service> = []
    for (const id of ids) {
      const service = this.#tables.service.get(id)
      if (service !== undefined) services.push(service)
    }
    return services
  }

  #note<K extends Kind>(kind: K, before: Tables[K] | undefined, after: Tables[K] | undefined): void {
    this.#changes.push({
      kind,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after })
    } as Change)
  }

  #reindex(kind: Kind, object: Tables[Kind]): void {
    const name = nameOf(kind, object)
    if (name !== undefined) this.#names.set(`${kind}:${name}`, object.ID)
    if (kind === "task") {
      const task = object as Task
      this.#byService.add(task.ServiceID, task.ID)
      if (task.NodeID !== undefined) this.#byNode.add(task.NodeID, task.ID)
      if (task.Slot !== undefined) this.#bySlot.add(`${task.ServiceID}.${task.Slot}`, task.ID)
      if (task.Status.State === "new" || task.Status.State === "pending") {
        this.#waiting.add(task.Status.State, task.ID)
      }
      const kept = this.#specs.get(task.ServiceID)?.get(task.SpecVersion)
      assert(kept !== undefined, "a task's spec version is kept")
      kept.tasks += 1
    }
    if (kind === "service") {
      const service = object as Service
      for (const reference of references(service.Spec)) this.#using.add(reference, service.ID)
      for (const port of publishedPorts(service)) this.#ports.add(port, service.ID)
      this.keepSpec(service.ID, service.SpecVersion, service.Spec.TaskTemplate ?? {})
    }
  }

  #unindex(kind: Kind, object: Tables[Kind]): void {
    const name = nameOf(kind, object)
    if (name !== undefined && this.#names.get(`${kind}:${name}`) === object.ID) {
      this.#names.delete(`${kind}:${name}`)
    }
    if (kind === "task") {
      const task = object as Task
      this.#byService.delete(task.ServiceID, task.ID)
      if (task.NodeID !== undefined) this.#byNode.delete(task.NodeID, task.ID)
      if (task.Slot !== undefined) this.#bySlot.delete(`${task.ServiceID}.${task.Slot}`, task.ID)
      if (task.Status.State === "new" || task.Status.State === "pending") {
        this.#waiting.delete(task.Status.State, task.ID)
      }
      const kept = this.#specs.get(task.ServiceID)?.get(task.SpecVersion)
      if (kept !== undefined) kept.tasks -= 1
    }
    if (kind === "service") {
      const service = object as Service
      for (const reference of references(service.Spec)) this.#using.delete(reference, service.ID)
      for (const port of publishedPorts(service)) this.#ports.delete(port, service.ID)
    }
  }

  /** Drops spec versions of the object's service that neither the service nor any task points at now. */
  #forgetSpecs(kind: Kind, object: Tables[Kind]): void {
    if (kind !== "task" && kind !== "service") return
    const serviceId = kind === "task" ? (object as Task).ServiceID : object.ID
    const versions = this.#specs.get(serviceId)
    if (versions === undefined) return
    const service = this.#tables.service.get(serviceId)
    for (const [version, kept] of versions) {
      const pointedAt = version === service?.SpecVersion || version === service?.PreviousSpecVersion
      if (kept.tasks === 0 && !pointedAt) versions.delete(version)
    }
    if (versions.size === 0) this.#specs.delete(serviceId)
  }
}
