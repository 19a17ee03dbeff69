/**
 * A service's tasks as its decisions see them: grouped into slots, each a place that one task at a time fills.
 *
 * A replicated service's slots are numbered from 1; a global service has one per node, named by the node's id.
 */
import type { NewTask, TaskPatch } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Service, Task, TaskState, UpdateStatus } from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import { isBefore, isWanted } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import type { Fresh } from "#runtime/ids.ts"

/** What a decision about one service starts from. */
export interface View {
  readonly ledger: LedgerReader
  readonly service: Service
  /** Milliseconds since the epoch. */
  readonly now: number
  /** No later than the log calls the moment at which what is decided now is written. */
  readonly written: number
  readonly fresh: Fresh
  /** Tasks of the update under way that were seen to run, by task id. */
  readonly sightings: ReadonlyMap<string, Sighting>
  /** Since when `sightings` misses nothing, milliseconds since the epoch. */
  readonly watchingSince: number
}

/** When a task came to run. */
export interface Sighting {
  /** By the leader's clock, milliseconds since the epoch. */
  readonly at: number
  /** By the node's own clock, RFC 3339. */
  readonly stamp: string
}

/** What a decision comes to. Built up in place by the functions of one turn. */
export class Draft {
  readonly create: Array<NewTask> = []
  readonly update: Array<TaskPatch> = []
  readonly remove: Array<string> = []
  progress: { readonly status: UpdateStatus; readonly rollback?: true } | undefined
  /** When time alone will change the decision, milliseconds since the epoch. */
  wakeAt: number | undefined
  /** Where the patch of each task stands in `update`. */
  readonly #touched = new Map<string, number>()
  readonly #filled = new Set<SlotKey>()

  wake(at: number): void {
    if (this.wakeAt === undefined || at < this.wakeAt) this.wakeAt = at
  }

  /** Sets what a task is wanted for. Of several wishes in one turn the one that is furthest along counts. */
  want(task: Task, desired: TaskState, status?: Task["Status"]): void {
    const at = this.#touched.get(task.ID) ?? this.update.length
    const known = this.update[at]?.DesiredState
    if (known !== undefined && !isBefore(known, desired)) return
    this.#touched.set(task.ID, at)
    this.update[at] = {
      ...this.update[at],
      id: task.ID,
      DesiredState: desired,
      ...(status === undefined ? {} : { Status: status })
    }
  }

  /** Creates a task in a slot that this turn has not filled yet. */
  fill(key: SlotKey, task: NewTask): void {
    if (this.#filled.has(key)) return
    this.#filled.add(key)
    this.create.push(task)
  }

  touches(task: Task): boolean {
    return this.#touched.has(task.ID)
  }

  fills(key: SlotKey): boolean {
    return this.#filled.has(key)
  }

  get isEmpty(): boolean {
    return this.create.length + this.update.length + this.remove.length === 0
  }
}

export type SlotKey = number | string

export interface Slot {
  readonly key: SlotKey
  /** Oldest first; never empty. Without tasks that are on their way out for good (desired `remove`). */
  readonly tasks: ReadonlyArray<Task>
  /** Those that the orchestrator still wants. */
  readonly wanted: ReadonlyArray<Task>
  readonly newest: Task
}

/**
 * Oldest first. Of tasks made in one millisecond, one that is still wanted came after one that is not, and what
 * changed last came last.
 */
export function byAge(a: Task, b: Task): number {
  if (a.CreatedAt !== b.CreatedAt) return a.CreatedAt < b.CreatedAt ? -1 : 1
  const wanted = Number(isWanted(a)) - Number(isWanted(b))
  if (wanted !== 0) return wanted
  if (a.Version.Index !== b.Version.Index) return a.Version.Index - b.Version.Index
  return a.ID < b.ID ? -1 : 1
}

export const slotKeyOf = (task: Task): SlotKey => task.Slot ?? task.NodeID ?? ""

/** The service's slots, in the order of their keys. */
export function slotsOf(ledger: LedgerReader, serviceId: string): ReadonlyArray<Slot> {
  const groups = new Map<SlotKey, Array<Task>>()
  for (const task of ledger.tasksOfService(serviceId)) {
    if (task.DesiredState === "remove" || task.DesiredState === "orphaned") continue
    const key = slotKeyOf(task)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [task])
    else group.push(task)
  }
  const slots: Array<Slot> = []
  for (const [key, tasks] of groups) {
    if (tasks.length > 1) tasks.sort(byAge)
    const newest = tasks[tasks.length - 1]
    if (newest !== undefined) slots.push({ key, tasks, wanted: tasks.filter(isWanted), newest })
  }
  return slots.sort((a, b) => (a.key < b.key ? -1 : 1))
}

/**
 * So many tasks of one service are on their way to run at once; when some have come to run, others are made. It keeps
 * an entry of the log small, and the managers' memory too when the nodes cannot carry what is asked for.
 */
const mostOnTheirWay = 2_000

/** How many tasks may be made beside those of `slots`. */
export function room(slots: ReadonlyArray<Slot>): number {
  let onTheirWay = 0
  for (const { wanted } of slots)
    for (const { Status } of wanted) if (isBefore(Status.State, "running")) onTheirWay += 1
  return Math.max(0, mostOnTheirWay - onTheirWay)
}

/** A task of the service's present spec, as it is when nobody has done anything for it yet. */
export function newTask(view: View, key: SlotKey, desired: TaskState, startAfter?: number): NewTask {
  return {
    ID: view.fresh.id(),
    ServiceID: view.service.ID,
    SpecVersion: view.service.SpecVersion,
    ...(typeof key === "number" ? { Slot: key } : { NodeID: key }),
    Status: { Timestamp: toIso(view.now), State: "new", Message: "created" },
    DesiredState: desired,
    ...(startAfter === undefined ? {} : { StartAfter: toIso(startAfter) })
  }
}

/** The template that a task carries out; the service's own when that version is no longer kept. */
export const specOf = (view: View, task: Task): TaskSpec =>
  view.ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? view.service.Spec.TaskTemplate ?? {}

export const nodeOf = (ledger: LedgerReader, task: Task): Node | undefined =>
  task.NodeID === undefined ? undefined : ledger.get("node", task.NodeID)
