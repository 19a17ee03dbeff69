/**
 * Tasks that are to stop while others may still send them traffic: each is told so only when every node that was told
 * not to has confirmed it, or has had its time. So nobody is sent to a task that is about to end.
 *
 * A new leader knows nothing of what nodes have confirmed, and asks all of them. A node that has not found it, or is being
 * begun again, is asked when it is there: what it leads traffic by goes on without it.
 */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import type { Task } from "#actors/model/objects.ts"
import { takesTraffic } from "#actors/network/tabulate.ts"

/** A node that lives confirms within tens of milliseconds; its routes are looked at again after this time anyway. */
const confirmedWithinMs = 2_000
/** One that is there, and whose silence nobody has noticed yet, has found its leader within this, and confirmed. */
const foundWithinMs = 5_000

interface Leaver {
  readonly nodeId: string
  readonly until: number
  /** By node, the assignment that it is to confirm; infinite before it was told. */
  readonly waits: Map<string, number>
}

/** Belongs to the dispatcher and changes in place. */
export class Leaving {
  readonly #tasks = new Map<string, Leaver>()
  /** Those of which nobody was told yet. */
  readonly #fresh = new Map<string, Leaver>()

  /** As a leader finds them that has just begun: all of `nodes` are asked. */
  begin(ledger: LedgerReader, nodes: ReadonlyArray<string>, now: number): void {
    for (const { ID } of ledger.all("network")) {
      for (const task of ledger.tasksOnNetwork(ID)) {
        if (!isLeaving(task) || this.#tasks.has(task.ID)) continue
        const waits = new Map(nodes.map((nodeId) => [nodeId, Number.POSITIVE_INFINITY]))
        this.#tasks.set(task.ID, { nodeId: task.NodeID, until: now + foundWithinMs, waits })
      }
    }
  }

  /**
   * A task that took traffic and is to stop is held from now on; one that has ended is not. `absent`: nodes that can confirm,
   * and cannot be told now.
   */
  note(change: Change, now: number, absent: () => ReadonlyArray<string>): void {
    if (change.kind !== "task") return
    const { before, after } = change
    if (after === undefined || !isLeaving(after)) {
      const id = (after ?? before)?.ID ?? ""
      this.#tasks.delete(id)
      this.#fresh.delete(id)
    } else if (before !== undefined && takesTraffic(before)) {
      const waits = new Map(absent().map((nodeId) => [nodeId, Number.POSITIVE_INFINITY]))
      const until = now + (waits.size === 0 ? confirmedWithinMs : foundWithinMs)
      const leaver = { nodeId: after.NodeID, until, waits }
      this.#tasks.set(after.ID, leaver)
      this.#fresh.set(after.ID, leaver)
    }
  }

  /** Whether the task is not to be told yet. */
  has = (taskId: string): boolean => this.#tasks.has(taskId)

  /**
   * A node was told of routes by its assignment `seq`; by a `complete` one, of all that there is to know. True when it
   * is to confirm it.
   */
  told(nodeId: string, seq: number, complete: boolean): boolean {
    let isAsked = this.#fresh.size > 0
    for (const { waits } of this.#fresh.values()) waits.set(nodeId, seq)
    if (!complete) return isAsked
    for (const { waits } of this.#tasks.values()) {
      if (!waits.has(nodeId)) continue
      waits.set(nodeId, seq)
      isAsked = true
    }
    return isAsked
  }

  /** The node has carried out everything up to `seq`; one that is gone, everything. */
  confirmed(nodeId: string, seq = Number.POSITIVE_INFINITY): void {
    for (const { waits } of this.#tasks.values()) {
      if ((waits.get(nodeId) ?? Number.POSITIVE_INFINITY) <= seq) waits.delete(nodeId)
    }
  }

  /** Whoever is to be told that tasks leave was told. */
  toldAll(): void {
    this.#fresh.clear()
  }

  /** The nodes of those tasks for which nobody, or nobody in time, is waited any more: these are told now. */
  takeFree(now: number): ReadonlySet<string> {
    const nodes = new Set<string>()
    for (const [id, leaver] of this.#tasks) {
      if (this.#fresh.has(id) || now < dueOf(leaver)) continue
      this.#tasks.delete(id)
      nodes.add(leaver.nodeId)
    }
    return nodes
  }

  /** When the first of them is to be told, by what is known now. */
  get nextDue(): number | undefined {
    let next: number | undefined
    for (const leaver of this.#tasks.values())
      next = Math.min(next ?? Number.POSITIVE_INFINITY, dueOf(leaver))
    return next
  }
}

const dueOf = ({ waits, until }: Leaver): number => (waits.size === 0 ? Number.NEGATIVE_INFINITY : until)

/** It runs on networks, and is not wanted any more. */
const isLeaving = (task: Task): task is Task & { readonly NodeID: string } =>
  task.NodeID !== undefined &&
  task.Status.State === "running" &&
  (task.Attachments ?? []).length > 0 &&
  !takesTraffic(task)
