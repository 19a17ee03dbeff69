/**
 * The ledger as the flight recorder keeps it: where it stood, and every change since, so that a replay finds the
 * tables as a decision saw them.
 *
 * Objects are kept by reference, as the tables themselves have them; what a secret holds, the join tokens, what opens
 * managers' doors and what registries are shown are left out from the first. When the changes become too many, the oldest are folded into where it stood.
 */
import type { Change, ChangeSet, Kind, LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { kinds, LedgerTables, lesserKinds } from "#actors/ledger/tables.ts"
import type { Cluster, Node, Service, Task } from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import type { SharedState } from "#runtime/recorder.ts"

/** What the ledger is called in recordings. */
export const ledgerName = "ledger"

/** Fields that hold secrets in whatever the orchestrator says, writes or remembers. */
export const secretFields: ReadonlySet<string> = new Set([
  "Access",
  "access",
  "Data",
  "data",
  "JoinTokens",
  "PreviousRegistryAuth",
  "registryAuth",
  "RegistryAuth",
  "Roots",
  "roots",
  "UnlockKey"
])

/** Changes that are kept one by one. */
const usuallyKept = 16_384
/** References to so many objects are kept beside the tables' own; a larger ledger is not recorded. */
const mostObjects = 200_000

/** What a line of a recording says of the ledger. */
export type LedgerLine =
  | { readonly _tag: "Base"; readonly index: number; readonly time: number }
  | { readonly _tag: "Spec"; readonly service: string; readonly version: number; readonly spec: unknown }
  | { readonly _tag: "Object"; readonly kind: Kind | "cluster"; readonly object: unknown }
  | {
      readonly _tag: "Changes"
      readonly index: number
      readonly time: number
      readonly changes: ReadonlyArray<Changed>
    }
  /** The ledger is too large to be kept: nothing that reads it can be replayed. */
  | { readonly _tag: "TooLarge"; readonly objects: number }

/** One object as it is after a change; absent when it was removed. */
interface Changed {
  readonly kind: Kind | "cluster"
  readonly id: string
  readonly object?: unknown
  /** Of a task: its template, where nothing else tells of it. */
  readonly spec?: TaskSpec
}

type Kept = Change & { readonly spec?: TaskSpec }

/** Keeps the ledger's history from now on. `stop` ends that. */
export function keepHistory(
  ledger: Pick<LedgerService, "read" | "follow">,
  kept = usuallyKept
): SharedState & { readonly stop: () => void } {
  const { read } = ledger
  let recent: Array<Carried> = []
  /** As of the last change; once they are too many, nothing is kept any more. */
  let objects = countOf(read)
  let base = objects > mostObjects ? undefined : new LedgerTables()
  if (base !== undefined) copy(read, base)

  const following = ledger.follow((set) => {
    if (base === undefined) return
    objects = countOf(read)
    if (objects > mostObjects) {
      base = undefined
      recent = []
      return
    }
    const changes = set.changes.map(withoutSecrets)
    recent.push({ ...set, changes: set.part ? changes.map((change) => withSpec(read, change)) : changes })
    if (recent.length <= kept * 1.25) return
    for (const oldest of recent.splice(0, recent.length - kept)) carryOut(base, oldest)
  })

  function* lines(): Iterable<LedgerLine> {
    if (base === undefined) {
      yield { _tag: "TooLarge", objects }
      return
    }
    yield { _tag: "Base", index: base.index, time: base.time }
    const { cluster, tables, specs } = base.freeze()
    const tasks = [...base.all("task")]
    if (cluster) yield { _tag: "Object", kind: "cluster", object: cluster }
    for (const { serviceId: service, version, spec } of specs) yield { _tag: "Spec", service, version, spec }
    for (const kind of lesserKinds) for (const object of tables[kind]) yield { _tag: "Object", kind, object }
    for (const object of tasks) yield { _tag: "Object", kind: "task", object }
    for (const { index, time, changes } of recent) {
      yield { _tag: "Changes", index, time, changes: changes.map(written) }
    }
  }

  return {
    name: ledgerName,
    object: read,
    index: () => read.index,
    time: () => read.time,
    lines,
    stop: () => {
      following.unsubscribe()
      recent = []
    }
  }
}

/** The tables of a recording, and how to bring them to where they stood. */
export class RecordedLedger {
  readonly tables = new LedgerTables()
  readonly #changes: Array<Extract<LedgerLine, { _tag: "Changes" }>> = []
  #next = 0
  #problem: string | undefined = "the recording has no ledger"

  constructor(lines: Iterable<LedgerLine>) {
    for (const line of lines) this.#read(line)
    this.tables.takeChanges()
  }

  /** Applies what had been applied at `index`; what it returns is why it cannot. */
  readonly advance = (index: number, time: number): string | undefined => {
    if (this.#problem !== undefined) return this.#problem
    if (index < this.tables.index) {
      return `the ledger stood at entry ${index}, and the recording knows it from entry ${this.tables.index} on`
    }
    for (let set = this.#changes[this.#next]; set && set.index <= index; set = this.#changes[++this.#next]) {
      for (const { kind, id, object, spec } of set.changes) put(this.tables, kind, id, object, spec)
      this.tables.takeChanges()
    }
    this.tables.index = index
    this.tables.time = time
    return undefined
  }

  #read(line: LedgerLine): void {
    switch (line._tag) {
      case "Base":
        this.tables.index = line.index
        this.tables.time = line.time
        this.#problem = undefined
        return
      case "Spec":
        this.tables.keepSpec(line.service, line.version, line.spec as never)
        return
      case "Object":
        put(this.tables, line.kind, (line.object as { ID: string }).ID, line.object)
        return
      case "Changes":
        this.#changes.push(line)
        return
      case "TooLarge":
        this.#problem = `the ledger had ${line.objects} objects, which is too many to be recorded`
    }
  }
}

const countOf = (read: LedgerReader): number => kinds.reduce((sum, kind) => sum + read.count(kind), 0)

/** In an order in which nothing comes before what it points at; the tasks of a service in the service's own order. */
function copy(read: LedgerReader, base: LedgerTables): void {
  const cluster = read.cluster()
  if (cluster) base.setCluster(hide("cluster", cluster))
  for (const kind of ["node", "network", "secret", "config", "volume"] as const) {
    for (const object of read.all(kind)) base.put(kind, hide(kind, object))
  }
  for (const service of read.all("service")) {
    const { PreviousSpecVersion: previous } = service
    const spec = previous === undefined ? undefined : read.taskSpec(service.ID, previous)
    if (previous !== undefined && spec) base.keepSpec(service.ID, previous, spec)
    base.put("service", hide("service", service))
    for (const task of read.tasksOfService(service.ID)) copyTask(read, base, task.ID)
  }
  // Tasks outlive their service for a while.
  for (const task of read.all("task")) if (!base.get("task", task.ID)) copyTask(read, base, task.ID)
  base.takeChanges()
  base.index = read.index
  base.time = read.time
}

function copyTask(read: LedgerReader, base: LedgerTables, id: string): void {
  const task = read.get("task", id)
  if (!task) return
  const spec = read.taskSpec(task.ServiceID, task.SpecVersion)
  if (spec) base.keepSpec(task.ServiceID, task.SpecVersion, spec)
  base.put("task", task)
}

type Carried = Pick<ChangeSet, "index" | "time"> & { readonly changes: ReadonlyArray<Kept> }

function carryOut(base: LedgerTables, { index, time, changes }: Carried): void {
  for (const { kind, before, after, spec } of changes)
    put(base, kind, (after ?? before)?.ID ?? "", after, spec)
  base.takeChanges()
  base.index = index
  base.time = time
}

function put(
  tables: LedgerTables,
  kind: Kind | "cluster",
  id: string,
  object: unknown,
  spec?: TaskSpec
): void {
  if (spec !== undefined) {
    const { ServiceID, SpecVersion } = object as Task
    tables.keepSpec(ServiceID, SpecVersion, spec)
  }
  if (kind === "cluster") tables.setCluster(object as never)
  else if (object === undefined) tables.remove(kind, id)
  else tables.put(kind, object as never)
}

const written = ({ kind, before, after, spec }: Kept): Changed => ({
  kind,
  id: (after ?? before)?.ID ?? "",
  ...(after !== undefined && { object: after }),
  ...(spec && { spec })
})

/** A snapshot skips the updates between: a task may be of a template that nobody has told of. */
function withSpec(read: LedgerReader, change: Kept): Kept {
  if (change.kind !== "task" || change.after === undefined) return change
  const { ServiceID, SpecVersion } = change.after
  if (read.get("service", ServiceID)?.SpecVersion === SpecVersion) return change
  const spec = read.taskSpec(ServiceID, SpecVersion)
  return spec ? { ...change, spec } : change
}

const withoutSecrets = ({ kind, before, after }: Change): Change =>
  ({
    kind,
    ...(before && { before: { ID: before.ID } }),
    ...(after && { after: hide(kind, after) })
  }) as Change

/** An object as it may be recorded. */
export function hide<Object>(kind: Kind | "cluster", object: Object): Object {
  if (kind === "cluster") {
    const { Roots: _roots, ...open } = object as Cluster
    return { ...open, JoinTokens: { Worker: "", Manager: "" } } as Object
  }
  if (kind === "node") {
    const { Access: access, ...open } = object as Node
    return access === undefined ? object : (open as Object)
  }
  if (kind === "service") {
    const { RegistryAuth: present, PreviousRegistryAuth: previous, ...open } = object as Service
    return present === undefined && previous === undefined ? object : (open as Object)
  }
  if (kind !== "secret" && kind !== "config") return object
  const { Spec } = object as { readonly Spec: object }
  return { ...object, Spec: { ...Spec, Data: "" } }
}
