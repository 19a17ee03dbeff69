/**
 * The overlays' rows as nodes were told of them last, by network: services, their tasks, and the nodes that take part.
 * All nodes on a network are told the same of it, so a change is worked out once, whatever their number; and of a task
 * without looking at the others of its service.
 */
import { concernsPeers, concernsRow, concernsRows } from "#actors/dispatcher/concern.ts"
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import type { Node } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import type {
  OverlayChange,
  OverlayHead,
  Peer,
  ServiceRow,
  TaskRow,
  TasksChange
} from "#actors/network/table.ts"
import {
  attachedRows,
  headOf,
  peerOf,
  type RowHead,
  rowHead,
  taskRows,
  vipNetworks
} from "#actors/network/tabulate.ts"

interface Row {
  head: RowHead
  readonly tasks: Map<string, TaskRow>
}
interface Known {
  readonly services: Map<string, Row>
  readonly peers: Map<string, Peer>
}

/** What is new of a network, for all that are on it; of `services` all there is, and of others some tasks. */
interface News {
  readonly services: Set<string>
  readonly tasks: Map<string, Set<string>>
  readonly peers: Set<string>
}

/** What a node was told: each overlay's head. */
export type Told = ReadonlyMap<string, OverlayHead>
export const toldNothing: Told = new Map()

/** Belongs to the dispatcher and changes in place. */
export class Overlays {
  readonly #ledger: LedgerReader
  readonly #known = new Map<string, Known>()
  /** The networks that a task was told to be on. */
  readonly #placed = new Map<string, ReadonlyArray<string>>()
  /** Networks of the containers beside all tasks, by node. */
  readonly #attached = new Map<string, Map<string, string>>()
  /** Services by the ids of their tasks. */
  readonly #staleTasks = new Map<string, string>()
  readonly #staleServices = new Set<string>()
  readonly #staleNodes = new Set<string>()

  constructor(ledger: LedgerReader) {
    this.#ledger = ledger
    this.refresh()
  }

  /** Everything may have changed. */
  refresh(): void {
    for (const service of this.#ledger.all("service")) {
      if (service.Endpoint?.VirtualIPs !== undefined) this.#staleServices.add(service.ID)
    }
    for (const network of this.#ledger.all("network")) {
      for (const { ID, ServiceID } of this.#ledger.tasksOnNetwork(network.ID))
        this.#staleTasks.set(ID, ServiceID)
    }
    for (const { services, peers } of this.#known.values()) {
      for (const [id, { tasks }] of services) {
        this.#staleServices.add(id)
        for (const taskId of tasks.keys()) this.#staleTasks.set(taskId, id)
      }
      for (const id of peers.keys()) this.#staleNodes.add(id)
    }
    for (const nodeId of this.#attached.keys()) this.#staleNodes.add(nodeId)
    for (const node of this.#ledger.all("node")) {
      if (node.Gateways !== undefined || node.Attached !== undefined) this.#staleNodes.add(node.ID)
    }
  }

  get isStale(): boolean {
    return this.#staleTasks.size + this.#staleServices.size + this.#staleNodes.size > 0
  }

  /** Whose rows a change may touch; true for a node that is to be told something else from now on. */
  note(change: Change): boolean {
    if (change.kind === "task" && concernsRow(change.before, change.after)) {
      const task = change.after ?? change.before
      if (task !== undefined) this.#staleTasks.set(task.ID, task.ServiceID)
    } else if (change.kind === "service" && concernsRows(change.before, change.after)) {
      this.#staleServices.add((change.after ?? change.before)?.ID ?? "")
    } else if (change.kind === "node" && concernsPeers(change.before, change.after)) {
      this.#staleNodes.add((change.after ?? change.before)?.ID ?? "")
      return true
    }
    return false
  }

  /** Entrances are to be told of these services anew. */
  noteRoutes(serviceIds: ReadonlyArray<string>): void {
    for (const id of serviceIds) this.#staleServices.add(id)
  }

  /** Works the stale rows out again. What differs from what was said last, by network. */
  takeNews(): ReadonlyMap<string, News> {
    const news = new Map<string, News>()
    for (const id of this.#staleServices) this.#renameTasks(id)
    for (const [id, serviceId] of this.#staleTasks) this.#takeTask(id, serviceId, news)
    for (const id of this.#staleServices) this.#takeService(id, news)
    for (const id of this.#staleNodes) this.#takeNode(id, news)
    this.#staleTasks.clear()
    this.#staleServices.clear()
    this.#staleNodes.clear()
    for (const networkId of this.#known.keys()) {
      if (this.#ledger.get("network", networkId) === undefined) this.#known.delete(networkId)
    }
    return news
  }

  /** Tasks are called after their service, and after its id once it is gone. */
  #renameTasks(serviceId: string): void {
    const name = this.#ledger.get("service", serviceId)?.Spec.Name ?? serviceId
    for (const { services } of this.#known.values()) {
      const row = services.get(serviceId)
      if (row === undefined || row.head.name === name) continue
      for (const taskId of row.tasks.keys()) this.#staleTasks.set(taskId, serviceId)
    }
  }

  #takeTask(id: string, serviceId: string, news: Map<string, News>): void {
    const task = this.#ledger.get("task", id)
    const rows = new Map(task === undefined ? [] : taskRows(this.#ledger, task))
    for (const networkId of this.#placed.get(id) ?? []) {
      const row = this.#known.get(networkId)?.services.get(serviceId)
      if (rows.has(networkId) || row?.tasks.delete(id) !== true) continue
      noteTask(news, networkId, serviceId, id)
      // It may have been the last that kept the row.
      if (row.tasks.size === 0) this.#staleServices.add(serviceId)
    }
    if (rows.size === 0) this.#placed.delete(id)
    else this.#placed.set(id, [...rows.keys()])
    for (const [networkId, row] of rows) {
      const { services } = this.#of(networkId)
      const known = services.get(serviceId)
      if (known === undefined) {
        const head = rowHead(this.#ledger, serviceId, networkId)
        services.set(serviceId, { head, tasks: new Map([[id, row]]) })
        newsOf(news, networkId).services.add(serviceId)
      } else if (!equal(known.tasks.get(id), row)) {
        known.tasks.set(id, row)
        noteTask(news, networkId, serviceId, id)
      }
    }
  }

  #takeService(id: string, news: Map<string, News>): void {
    const addressed = new Set(vipNetworks(this.#ledger.get("service", id)))
    const before = [...this.#known].flatMap(([networkId, { services }]) =>
      services.has(id) ? [networkId] : []
    )
    for (const networkId of new Set([...addressed, ...before])) {
      const { services } = this.#of(networkId)
      const row = services.get(id)
      const head = rowHead(this.#ledger, id, networkId)
      if (row !== undefined && row.tasks.size === 0 && !addressed.has(networkId)) services.delete(id)
      else if (row === undefined) services.set(id, { head, tasks: new Map() })
      else if (equal(row.head, head)) continue
      else row.head = head
      newsOf(news, networkId).services.add(id)
    }
  }

  #takeNode(id: string, news: Map<string, News>): void {
    const node = this.#ledger.get("node", id)
    this.#takeAttached(id, node, news)
    const here = new Set(node?.Gateways?.map(({ NetworkID }) => NetworkID))
    for (const [networkId, { peers }] of this.#known) {
      if (!here.has(networkId) && peers.delete(id)) newsOf(news, networkId).peers.add(id)
    }
    for (const networkId of here) {
      const peer = node && peerOf(this.#ledger, node, networkId)
      const { peers } = this.#of(networkId)
      if (peer === undefined || equal(peers.get(id), peer)) continue
      peers.set(id, peer)
      newsOf(news, networkId).peers.add(id)
    }
  }

  #takeAttached(nodeId: string, node: Node | undefined, news: Map<string, News>): void {
    const rows = new Map(
      (node === undefined ? [] : attachedRows(node)).map((entry) => [entry[1].serviceId, entry])
    )
    for (const [id, networkId] of this.#attached.get(nodeId) ?? []) {
      if (!rows.has(id) && this.#known.get(networkId)?.services.delete(id))
        newsOf(news, networkId).services.add(id)
    }
    this.#attached.set(nodeId, new Map([...rows].map(([id, [networkId]]) => [id, networkId])))
    if (rows.size === 0) this.#attached.delete(nodeId)
    for (const [id, [networkId, { tasks, ...head }]] of rows) {
      const { services } = this.#of(networkId)
      const row = services.get(id)
      if (row !== undefined && equal(row.head, head) && equal([...row.tasks.values()], tasks)) continue
      services.set(id, { head, tasks: new Map(tasks.map((task) => [task.taskId, task])) })
      newsOf(news, networkId).services.add(id)
    }
  }

  #of(networkId: string): Known {
    const known = this.#known.get(networkId) ?? { services: new Map(), peers: new Map() }
    this.#known.set(networkId, known)
    return known
  }

  /** The nodes on a network. */
  nodesOn(networkId: string): Iterable<string> {
    return this.#known.get(networkId)?.peers.keys() ?? []
  }

  /**
   * What `nodeId`, which was told `before`, is told now: all of each overlay that is new to it or has another head,
   * what is new of the others, and those in which it takes no part any more.
   */
  say(
    nodeId: string,
    before: Told,
    news: ReadonlyMap<string, News>
  ): {
    readonly told: Told
    readonly overlays: ReadonlyArray<OverlayChange>
    readonly overlaysGone: ReadonlyArray<string>
  } {
    const node = this.#ledger.get("node", nodeId)
    const told = new Map<string, OverlayHead>()
    const overlays: Array<OverlayChange> = []
    for (const { NetworkID: networkId } of node?.Gateways ?? []) {
      const head = node && headOf(this.#ledger, node, networkId)
      if (head === undefined) continue
      told.set(networkId, head)
      const fresh = news.get(networkId)
      if (!equal(before.get(networkId), head)) overlays.push({ ...this.#all(nodeId, networkId), head })
      else if (fresh !== undefined) {
        const change = this.#change(nodeId, networkId, fresh)
        if (change !== undefined) overlays.push(change)
      }
    }
    return { told, overlays, overlaysGone: [...before.keys()].filter((id) => !told.has(id)) }
  }

  #all(nodeId: string, networkId: string): OverlayChange {
    const { services, peers } = this.#of(networkId)
    return {
      networkId,
      peers: inOrder(peers).filter((peer) => peer.nodeId !== nodeId),
      peersGone: [],
      services: inOrder(services).map(wholeRow),
      servicesGone: []
    }
  }

  #change(nodeId: string, networkId: string, news: News): OverlayChange | undefined {
    const { services, peers } = this.#of(networkId)
    const others = [...news.peers].filter((id) => id !== nodeId)
    const tasks: Array<TasksChange> = []
    for (const [serviceId, ids] of news.tasks) {
      const row = news.services.has(serviceId) ? undefined : services.get(serviceId)
      if (row === undefined) continue
      tasks.push({
        serviceId,
        tasks: [...ids].flatMap((id) => row.tasks.get(id) ?? []),
        gone: [...ids].filter((id) => !row.tasks.has(id))
      })
    }
    if (others.length + news.services.size + tasks.length === 0) return undefined
    return {
      networkId,
      peers: others.flatMap((id) => peers.get(id) ?? []),
      peersGone: others.filter((id) => !peers.has(id)),
      services: [...news.services].flatMap((id) => {
        const row = services.get(id)
        return row === undefined ? [] : [wholeRow(row)]
      }),
      servicesGone: [...news.services].filter((id) => !services.has(id)),
      ...(tasks.length > 0 ? { tasks } : {})
    }
  }
}

const wholeRow = ({ head, tasks }: Row): ServiceRow => ({ ...head, tasks: inOrder(tasks) })

const inOrder = <T>(rows: ReadonlyMap<string, T>): ReadonlyArray<T> =>
  [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)

function newsOf(news: Map<string, News>, networkId: string): News {
  const found = news.get(networkId) ?? { services: new Set(), tasks: new Map(), peers: new Set() }
  news.set(networkId, found)
  return found
}

function noteTask(news: Map<string, News>, networkId: string, serviceId: string, taskId: string): void {
  const { tasks } = newsOf(news, networkId)
  const ids = tasks.get(serviceId) ?? new Set<string>()
  tasks.set(serviceId, ids.add(taskId))
}
