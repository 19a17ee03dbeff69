/** Tasks that want a node, by what they are: a view of the ledger, so that nobody reads a million tasks to find five. */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import type { Task } from "#actors/model/objects.ts"
import { isBefore } from "#actors/model/task-state.ts"

export interface Waiting {
  readonly id: string
  /** The task's version, which its placement must name. */
  readonly version: number
  /** What it was told of why it waits, so far. */
  readonly told: string
}

/** Tasks of one service and spec version: nothing tells them apart. */
export interface Group {
  readonly serviceId: string
  readonly specVersion: number
  readonly tasks: Map<string, Waiting>
}

/** A task of a global service, which has a node and waits for it. */
export interface Fixed extends Waiting {
  readonly serviceId: string
  readonly specVersion: number
  readonly nodeId: string
}

/** Those that still want a node; a job's tasks are wanted `complete`. */
const waits = (task: Task | undefined): boolean =>
  task !== undefined && task.Status.State === "pending" && !isBefore("complete", task.DesiredState)

export class Queue {
  /** In the order in which they came. */
  readonly groups = new Map<string, Group>()
  readonly fixed = new Map<string, Fixed>()
  /** How many tasks wait. */
  size = 0

  constructor(ledger: LedgerReader) {
    for (const task of ledger.tasksInState("pending")) if (waits(task)) this.#add(task)
  }

  changed(change: Change): void {
    if (change.kind !== "task") return
    const { before, after } = change
    if (before !== undefined && waits(before)) this.#remove(before, after)
    if (after !== undefined && waits(after)) this.#add(after)
  }

  #add(task: Task): void {
    const { ServiceID: serviceId, SpecVersion: specVersion, NodeID: nodeId } = task
    const waiting = { id: task.ID, version: task.Version.Index, told: task.Status.Err ?? "" }
    if (nodeId !== undefined) {
      if (!this.fixed.has(task.ID)) this.size += 1
      this.fixed.set(task.ID, { ...waiting, serviceId, specVersion, nodeId })
      return
    }
    const key = `${serviceId}:${specVersion}`
    let group = this.groups.get(key)
    if (group === undefined) {
      group = { serviceId, specVersion, tasks: new Map() }
      this.groups.set(key, group)
    }
    if (!group.tasks.has(task.ID)) this.size += 1
    group.tasks.set(task.ID, waiting)
  }

  /** A task that goes on waiting keeps its place. */
  #remove(task: Task, after: Task | undefined): void {
    const stays = after !== undefined && waits(after) && isAlike(task, after)
    if (stays) return
    this.size -= 1
    if (this.fixed.delete(task.ID)) return
    const key = `${task.ServiceID}:${task.SpecVersion}`
    const group = this.groups.get(key)
    group?.tasks.delete(task.ID)
    if (group?.tasks.size === 0) this.groups.delete(key)
  }
}

const isAlike = (a: Task, b: Task): boolean =>
  a.ServiceID === b.ServiceID && a.SpecVersion === b.SpecVersion && a.NodeID === b.NodeID

/** The queue of a ledger, for `LedgerReader.view`. */
export const queue = (ledger: LedgerReader): Queue => new Queue(ledger)
