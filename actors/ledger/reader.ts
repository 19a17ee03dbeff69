/**
 * The cluster's state as everyone reads it: objects by id, and the indexes that keep every question cheap.
 *
 * Objects are never changed in place: a change puts a new object in the table, so a reader may keep what it got.
 * Decisions may read it. It is state, not I/O: what it says depends only on the entries applied so far.
 */
import type {
  Cluster,
  Config,
  Network,
  Node,
  Secret,
  Service,
  Task,
  TaskState,
  Volume
} from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"

export interface Tables {
  readonly node: Node
  readonly service: Service
  readonly task: Task
  readonly network: Network
  readonly secret: Secret
  readonly config: Config
  readonly volume: Volume
}
export type Kind = keyof Tables

export interface LedgerReader {
  /** The last applied entry. */
  readonly index: number
  /** The leader's time of the last applied entry, milliseconds since the epoch. */
  readonly time: number
  readonly cluster: () => Cluster | undefined

  readonly get: <K extends Kind>(kind: K, id: string) => Tables[K] | undefined
  readonly all: <K extends Kind>(kind: K) => IterableIterator<Tables[K]>
  readonly count: (kind: Kind) => number
  readonly byName: <K extends "service" | "network" | "secret" | "config" | "volume">(
    kind: K,
    name: string
  ) => Tables[K] | undefined

  /** The task template that a task carries out, `undefined` once nothing points at that version. */
  readonly taskSpec: (serviceId: string, specVersion: number) => TaskSpec | undefined
  readonly tasksOfService: (serviceId: string) => IterableIterator<Task>
  readonly tasksOfNode: (nodeId: string) => IterableIterator<Task>
  readonly tasksInSlot: (serviceId: string, slot: number) => IterableIterator<Task>
  /** Tasks with an address on a network, wanted or not. */
  readonly tasksOnNetwork: (networkId: string) => IterableIterator<Task>
  readonly tasksInState: (state: TaskState) => IterableIterator<Task>
  /** The services that tasks name, by id: also those that are gone. */
  readonly servicesOfTasks: () => Iterable<string>
  /** Services whose newest spec names this object. */
  readonly servicesUsing: (kind: "network" | "secret" | "config", id: string) => ReadonlyArray<Service>
  /** Services that publish `protocol/port`, by wish or by allotment, in ingress or host mode. */
  readonly servicesPublishing: (protocol: string, port: number) => ReadonlyArray<Service>
  /** What `make` works out of the tables: made when it is first asked for, kept in step with every entry from then on. */
  readonly view: <V extends View>(make: MakeView<V>) => V
}

/** A reader's own sums over the tables. Only the tables tell it of changes; it is never ahead of them, nor behind. */
export interface View {
  /** What a change refers to, spec versions and all, is still there, before and after. */
  readonly changed: (change: Change) => void
}
/** Makes a view of what is there. One function, one view. */
export type MakeView<V extends View> = (ledger: LedgerReader) => V

/** One object's step from one version to the next; `before` or `after` is absent at creation and removal. */
export type Change = {
  readonly [K in Kind | "cluster"]: {
    readonly kind: K
    readonly before?: K extends Kind ? Tables[K] : Cluster
    readonly after?: K extends Kind ? Tables[K] : Cluster
  }
}[Kind | "cluster"]

/**
 * All changes of one entry, atomically; or some of those that a snapshot made which came in place of entries, once the state
 * has all of them.
 */
export interface ChangeSet {
  readonly index: number
  readonly time: number
  readonly changes: ReadonlyArray<Change>
  /** Who asked for the entry, and why. Absent where the changes came with a snapshot. */
  readonly origin?: { readonly who: string; readonly why: string }
  /** Where these are some of the `of` changes up to `index`: so many were told before. */
  readonly part?: { readonly after: number; readonly of: number }
}
