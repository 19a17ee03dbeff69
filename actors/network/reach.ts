/** Which nodes have live tasks, or containers beside them, on which networks, and how many: a view of the ledger, kept in step with every entry. */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Task } from "#actors/model/objects.ts"
import { isBefore, isLive } from "#actors/model/task-state.ts"

const nobody: ReadonlyMap<string, number> = new Map()

/** It was given to a node, which has to carry it on its networks or does so already. */
export const isPlaced = ({ NodeID, Status }: Task): boolean =>
  NodeID !== undefined && !isBefore(Status.State, "assigned") && isLive(Status.State)

export class Reach {
  readonly #networks = new Map<string, Map<string, number>>()

  constructor(ledger: LedgerReader) {
    for (const node of ledger.all("node")) this.#attach(node, 1)
    for (const network of ledger.all("network")) {
      for (const task of ledger.tasksOnNetwork(network.ID)) {
        if (isPlaced(task)) this.#count(network.ID, task.NodeID ?? "", 1)
      }
    }
  }

  /** Live tasks and containers beside them on the network, by node. */
  of(networkId: string): ReadonlyMap<string, number> {
    return this.#networks.get(networkId) ?? nobody
  }

  changed(change: Change): void {
    if (change.kind === "network" && change.after === undefined && change.before !== undefined) {
      this.#networks.delete(change.before.ID)
    }
    if (change.kind === "node" && change.before?.Attached !== change.after?.Attached) {
      this.#attach(change.before, -1)
      this.#attach(change.after, 1)
    }
    if (change.kind !== "task") return
    this.#add(change.before, -1)
    this.#add(change.after, 1)
  }

  #add(task: Task | undefined, step: 1 | -1): void {
    if (task?.Attachments === undefined || !isPlaced(task)) return
    for (const { NetworkID } of task.Attachments) this.#count(NetworkID, task.NodeID ?? "", step)
  }

  #attach(node: Node | undefined, step: 1 | -1): void {
    for (const { NetworkID } of node?.Attached ?? []) this.#count(NetworkID, node?.ID ?? "", step)
  }

  #count(networkId: string, nodeId: string, step: 1 | -1): void {
    const nodes = this.#networks.get(networkId) ?? new Map<string, number>()
    this.#networks.set(networkId, nodes)
    const count = (nodes.get(nodeId) ?? 0) + step
    if (count > 0) nodes.set(nodeId, count)
    else nodes.delete(nodeId)
  }
}

export const reach = (ledger: LedgerReader): Reach => new Reach(ledger)
