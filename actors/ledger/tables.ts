/**
 * The whole state and its indexes. Only `apply` writes here; everyone else has it as a `LedgerReader`.
 *
 * Every write goes through `put` or `remove`, which keep the indexes and note the change for the feed.
 */
import type { Buffer } from "node:buffer"
import { HashSum, hashInto, showHash } from "#actors/ledger/hash.ts"
import { IdSets } from "#actors/ledger/index-sets.ts"
import type { Change, ChangeSet, Kind, LedgerReader, MakeView, Tables, View } from "#actors/ledger/reader.ts"
import { Table } from "#actors/ledger/table.ts"
import { type FrozenTasks, TaskTable } from "#actors/ledger/task-table.ts"
import type { Cluster, Service, Task, TaskState } from "#actors/model/objects.ts"
import { networksOf, publishedPorts } from "#actors/model/service-facts.ts"
import type { ServiceSpec, TaskSpec } from "#actors/model/spec.ts"
import { assert } from "#runtime/assert.ts"

/** A version of a service's task template, kept while a service or a task points at it. */
export interface KeptSpec {
  /** Service and version, for the table. */
  readonly ID: string
  readonly serviceId: string
  readonly version: number
  readonly spec: TaskSpec
}
interface Counted {
  readonly kept: KeptSpec
  tasks: number
}

/** Everything as it was when it was frozen, object by object. */
export interface Frozen {
  readonly index: number
  readonly time: number
  readonly cluster: Cluster | undefined
  readonly specs: Iterable<KeptSpec>
  readonly tables: { readonly [K in Lesser]: Iterable<Tables[K]> }
  readonly tasks: FrozenTasks
}

/** All that there are only thousands of. */
type Lesser = Exclude<Kind, "task">
export const lesserKinds: ReadonlyArray<Lesser> = ["node", "network", "secret", "config", "volume", "service"]
/** What both kinds of tables have in common. */
interface Rows<T> {
  readonly size: number
  readonly hash: HashSum
  readonly get: (id: string) => T | undefined
  readonly put: (object: T) => T
  readonly delete: (id: string) => void
  readonly values: () => IterableIterator<T>
}

/** Services before tasks, so that a task finds its spec version when it is put back from a snapshot. */
export const kinds: ReadonlyArray<Kind> = [...lesserKinds, "task"]

type Named = "service" | "network" | "secret" | "config" | "volume"
const nameOf = (kind: Kind, object: Tables[Kind]): string | undefined => {
  if (kind === "network") return (object as Tables["network"]).Name
  if (kind === "service" || kind === "secret" || kind === "config" || kind === "volume") {
    return (object as Tables["service" | "secret" | "config" | "volume"]).Spec.Name
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
  readonly #tasks = new TaskTable()
  readonly #tables: { readonly [K in Lesser]: Table<Tables[K]> } = {
    node: new Table(),
    service: new Table(),
    network: new Table(),
    secret: new Table(),
    config: new Table(),
    volume: new Table()
  }
  readonly #names = new Map<string, string>()
  readonly #using = new IdSets<string>()
  readonly #ports = new IdSets<string>()
  readonly #specs = new Map<string, Map<number, Counted>>()
  readonly #specTable = new Table<KeptSpec>()
  #changes: Array<Change> = []
  readonly #views = new Map<MakeView<View>, View>()

  /** `views` are made at once, and so are there for what is put back from a snapshot. */
  constructor(views: Iterable<MakeView<View>> = []) {
    for (const make of views) this.view(make)
  }

  /** What makes the views that there are. */
  get views(): Iterable<MakeView<View>> {
    return this.#views.keys()
  }

  cluster(): Cluster | undefined {
    return this.#cluster
  }

  get<K extends Kind>(kind: K, id: string): Tables[K] | undefined {
    return this.#of(kind).get(id)
  }

  all<K extends Kind>(kind: K): IterableIterator<Tables[K]> {
    return this.#of(kind).values()
  }

  count(kind: Kind): number {
    return this.#of(kind).size
  }

  byName<K extends Named>(kind: K, name: string): Tables[K] | undefined {
    const id = this.#names.get(`${kind}:${name}`)
    return id === undefined ? undefined : this.get(kind, id)
  }

  taskSpec(serviceId: string, specVersion: number): TaskSpec | undefined {
    return this.#specs.get(serviceId)?.get(specVersion)?.kept.spec
  }

  tasksOfService(serviceId: string): IterableIterator<Task> {
    return this.#tasks.ofService(serviceId)
  }

  tasksOfNode(nodeId: string): IterableIterator<Task> {
    return this.#tasks.ofNode(nodeId)
  }

  tasksInSlot(serviceId: string, slot: number): IterableIterator<Task> {
    return this.#tasks.inSlot(serviceId, slot)
  }

  tasksInState(state: TaskState): IterableIterator<Task> {
    return this.#tasks.inState(state)
  }

  servicesOfTasks(): Iterable<string> {
    return this.#tasks.services()
  }

  /** Tasks with an address on a network, wanted or not. */
  tasksOnNetwork(networkId: string): IterableIterator<Task> {
    return this.#tasks.onNetwork(networkId)
  }

  servicesUsing(kind: "network" | "secret" | "config", id: string): ReadonlyArray<Service> {
    return this.#services(this.#using.of(`${kind}:${id}`))
  }

  servicesPublishing(protocol: string, port: number): ReadonlyArray<Service> {
    return this.#services(this.#ports.of(`${protocol}/${port}`))
  }

  view<V extends View>(make: MakeView<V>): V {
    const view = (this.#views.get(make) as V | undefined) ?? make(this)
    this.#views.set(make, view)
    return view
  }

  setCluster(after: Cluster, quietly = false): void {
    const before = this.#cluster
    this.#cluster = after
    if (quietly) return
    this.#changes.push(before === undefined ? { kind: "cluster", after } : { kind: "cluster", before, after })
  }

  /** Writes an object and notes the change, unless `quietly`, for what nobody waits to hear. */
  put<K extends Kind>(kind: K, object: Tables[K], quietly = false): void {
    const before = this.get(kind, object.ID)
    const after = this.#of(kind).put(object)
    if (kind !== "task") {
      if (before !== undefined) this.#unindex(kind, before)
      this.#index(kind, after)
    }
    this.#note(kind, before, after, quietly)
    if (kind === "task") this.#countSpec(before as Task | undefined, after as Task)
    else if (kind === "service" && before !== undefined) this.#forgetSpecs(object.ID)
  }

  remove(kind: Kind, id: string): void {
    const before = this.get(kind, id)
    if (before === undefined) return
    this.#of(kind).delete(id)
    if (kind !== "task") this.#unindex(kind, before)
    this.#note(kind, before, undefined)
    if (kind === "task") this.#countSpec(before as Task, undefined)
    else if (kind === "service") this.#forgetSpecs(id)
  }

  /** What changed since the last call, as one set. */
  takeChanges(): ChangeSet {
    const changes = this.#changes
    this.#changes = []
    return { index: this.index, time: this.time, changes }
  }

  /** Everything as it is now, for a snapshot that is written while entries go on being applied. */
  freeze(): Frozen {
    return {
      index: this.index,
      time: this.time,
      cluster: this.#cluster,
      specs: this.#specTable.freeze(),
      tables: {
        node: this.#tables.node.freeze(),
        service: this.#tables.service.freeze(),
        network: this.#tables.network.freeze(),
        secret: this.#tables.secret.freeze(),
        config: this.#tables.config.freeze(),
        volume: this.#tables.volume.freeze()
      },
      tasks: this.#tasks.freeze()
    }
  }

  /** 16 hexadecimal digits that are the same on every member that has applied the same entries; kept up by writes. */
  digest(): string {
    const sum = new HashSum()
    const part = { a: 0, b: 0 }
    const add = (name: string, a: number, b: number): void => sum.add(hashInto(part, [name, a, b]))
    for (const kind of kinds) {
      // Releases that know no volumes must say the same of a state without any.
      if (kind === "volume" && this.#tables.volume.size === 0) continue
      add(kind, this.#of(kind).hash.a, this.#of(kind).hash.b)
    }
    add("spec", this.#specTable.hash.a, this.#specTable.hash.b)
    add("position", this.index, this.time)
    sum.add(hashInto(part, this.#cluster ?? null))
    return showHash(sum)
  }

  /** For restoring a snapshot: spec versions come before the tasks that point at them. */
  keepSpec(serviceId: string, version: number, spec: TaskSpec): void {
    const versions = this.#specs.get(serviceId) ?? new Map<number, Counted>()
    if (!versions.has(version)) {
      const kept = { ID: `${serviceId}.${version}`, serviceId, version, spec }
      versions.set(version, { kept, tasks: 0 })
      this.#specTable.put(kept)
    }
    this.#specs.set(serviceId, versions)
  }

  /** For restoring a snapshot, into tables without tasks: texts and words first. */
  restoreText(number: number, text: string): void {
    this.#tasks.restoreText(number, text)
  }

  restoreWord(word: string): void {
    this.#tasks.restoreWord(word)
  }

  /** The records from `start` to the end of `bytes`; how many they were. */
  restoreTasks(bytes: Buffer, start: number): number {
    let count = 0
    this.#tasks.restoreRecords(bytes, start, (service, version) => {
      this.#pointAt(service, version)
      count++
    })
    if (this.#views.size > 0) {
      for (const after of this.#tasks.restored(bytes, start)) this.#tellViews({ kind: "task", after })
    }
    return count
  }

  #of<K extends Kind>(kind: K): Rows<Tables[K]> {
    return (kind === "task" ? this.#tasks : this.#tables[kind as Lesser]) as unknown as Rows<Tables[K]>
  }

  /** By id: what a refusal says of them must be the same on a member that began from a snapshot. */
  #services(ids: Iterable<string>): ReadonlyArray<Service> {
    const services: Array<Service> = []
    for (const id of [...ids].sort()) {
      const service = this.#tables.service.get(id)
      if (service !== undefined) services.push(service)
    }
    return services
  }

  #note<K extends Kind>(
    kind: K,
    before: Tables[K] | undefined,
    after: Tables[K] | undefined,
    quietly = false
  ): void {
    const change = {
      kind,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after })
    } as Change
    this.#tellViews(change)
    if (!quietly) this.#changes.push(change)
  }

  #tellViews(change: Change): void {
    for (const view of this.#views.values()) view.changed(change)
  }

  /** Counts on the spec version that a task points at now, and no longer on the one that it pointed at. */
  #countSpec(before: Task | undefined, after: Task | undefined): void {
    if (before?.ServiceID === after?.ServiceID && before?.SpecVersion === after?.SpecVersion) return
    if (after !== undefined) this.#pointAt(after.ServiceID, after.SpecVersion)
    if (before !== undefined) {
      const counted = this.#specs.get(before.ServiceID)?.get(before.SpecVersion)
      if (counted !== undefined) counted.tasks -= 1
      this.#forgetSpecs(before.ServiceID)
    }
  }

  #pointAt(service: string, version: number): void {
    const counted = this.#specs.get(service)?.get(version)
    assert(counted !== undefined, "a task's spec version is kept")
    counted.tasks += 1
  }

  #index(kind: Kind, object: Tables[Kind]): void {
    const name = nameOf(kind, object)
    if (name !== undefined) this.#names.set(`${kind}:${name}`, object.ID)
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
    if (kind === "service") {
      const service = object as Service
      for (const reference of references(service.Spec)) this.#using.delete(reference, service.ID)
      for (const port of publishedPorts(service)) this.#ports.delete(port, service.ID)
    }
  }

  /** Drops spec versions of a service that neither it nor any task points at now. */
  #forgetSpecs(serviceId: string): void {
    const versions = this.#specs.get(serviceId)
    if (versions === undefined) return
    const service = this.#tables.service.get(serviceId)
    for (const [version, { kept, tasks }] of versions) {
      const pointedAt = version === service?.SpecVersion || version === service?.PreviousSpecVersion
      if (tasks > 0 || pointedAt) continue
      versions.delete(version)
      this.#specTable.delete(kept.ID)
    }
    if (versions.size === 0) this.#specs.delete(serviceId)
  }
}
