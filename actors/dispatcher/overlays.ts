/**
 * The overlays' rows as nodes were told of them last, by network: services with their tasks, and the nodes that take
 * part. All nodes on a network are told the same of it, so a change is worked out once, whatever their number.
 */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Service, Task } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { isPlaced } from "#actors/network/reach.ts"
import type { OverlayChange, OverlayHead, Peer, ServiceRow } from "#actors/network/table.ts"
import { attachedRows, dataPathOf, headOf, peerOf, rowsOf, takesTraffic } from "#actors/network/tabulate.ts"

interface Known {
  readonly services: Map<string, ServiceRow>
  readonly peers: Map<string, Peer>
}

/** What is new of a network, for all that are on it. */
interface News {
  readonly services: Set<string>
  readonly peers: Set<string>
}

/** What a node was told: each overlay's head. */
export type Told = ReadonlyMap<string, OverlayHead>
export const toldNothing: Told = new Map()

/** Belongs to the dispatcher and changes in place. */
export class Overlays {
  readonly #ledger: LedgerReader
  readonly #known = new Map<string, Known>()
  /** Networks of the containers beside all tasks, by node. */
  readonly #attached = new Map<string, Map<string, string>>()
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
      for (const { ServiceID } of this.#ledger.tasksOnNetwork(network.ID)) this.#staleServices.add(ServiceID)
    }
    for (const { services, peers } of this.#known.values()) {
      for (const id of services.keys()) this.#staleServices.add(id)
      for (const id of peers.keys()) this.#staleNodes.add(id)
    }
    for (const node of this.#ledger.all("node")) {
      if (node.Gateways !== undefined || node.Attached !== undefined) this.#staleNodes.add(node.ID)
    }
  }

  get isStale(): boolean {
    return this.#staleServices.size > 0 || this.#staleNodes.size > 0
  }

  /** Whose rows a change may touch; true for a node that is to be told something else from now on. */
  note(change: Change): boolean {
    if (change.kind === "task" && concernsRow(change.before, change.after)) {
      this.#staleServices.add((change.after ?? change.before)?.ServiceID ?? "")
    } else if (change.kind === "service" && concernsRows(change.before, change.after)) {
      this.#staleServices.add((change.after ?? change.before)?.ID ?? "")
    } else if (change.kind === "node" && concernsPeers(change.before, change.after)) {
      this.#staleNodes.add((change.after ?? change.before)?.ID ?? "")
      return true
    }
    return false
  }

  /** Works the stale rows out again. What differs from what was said last, by network. */
  takeNews(): ReadonlyMap<string, News> {
    const news = new Map<string, News>()
    for (const id of this.#staleServices) {
      const rows = rowsOf(this.#ledger, id)
      for (const [networkId, known] of this.#known) {
        if (known.services.has(id) && !rows.has(networkId)) {
          known.services.delete(id)
          newsOf(news, networkId).services.add(id)
        }
      }
      for (const [networkId, row] of rows) {
        const { services } = this.#of(networkId)
        if (equal(services.get(id), row)) continue
        services.set(id, row)
        newsOf(news, networkId).services.add(id)
      }
    }
    for (const id of this.#staleNodes) this.#takeNode(id, news)
    this.#staleServices.clear()
    this.#staleNodes.clear()
    for (const networkId of this.#known.keys()) {
      if (this.#ledger.get("network", networkId) === undefined) this.#known.delete(networkId)
    }
    return news
  }

  #takeNode(id: string, news: Map<string, News>): void {
    const node = this.#ledger.get("node", id)
    this.#takeAttached(id, node, news)
    const here = new Set(node?.Gateways?.map(({ NetworkID }) => NetworkID))
    for (const [networkId, { peers }] of this.#known) {
      if (!here.has(networkId) && peers.delete(id)) newsOf(news, networkId).peers.add(id)
    }
    for (const networkId of here) {
      const peer = node && peerOf(node, networkId)
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
    for (const [id, [networkId, row]] of rows) {
      const { services } = this.#of(networkId)
      if (equal(services.get(id), row)) continue
      services.set(id, row)
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
      services: inOrder(services),
      servicesGone: []
    }
  }

  #change(nodeId: string, networkId: string, news: News): OverlayChange | undefined {
    const { services, peers } = this.#of(networkId)
    const others = [...news.peers].filter((id) => id !== nodeId)
    if (others.length === 0 && news.services.size === 0) return undefined
    return {
      networkId,
      peers: others.flatMap((id) => peers.get(id) ?? []),
      peersGone: others.filter((id) => !peers.has(id)),
      services: [...news.services].flatMap((id) => services.get(id) ?? []),
      servicesGone: [...news.services].filter((id) => !services.has(id))
    }
  }
}

const inOrder = <T>(rows: ReadonlyMap<string, T>): ReadonlyArray<T> =>
  [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)

function newsOf(news: Map<string, News>, networkId: string): News {
  const found = news.get(networkId) ?? { services: new Set(), peers: new Set() }
  news.set(networkId, found)
  return found
}

function concernsRow(before: Task | undefined, after: Task | undefined): boolean {
  if (before?.Attachments === undefined && after?.Attachments === undefined) return false
  if (before === undefined || after === undefined) return isPlaced((before ?? after) as Task)
  return (
    before.NodeID !== after.NodeID ||
    !equal(before.Attachments, after.Attachments) ||
    isPlaced(before) !== isPlaced(after) ||
    takesTraffic(before) !== takesTraffic(after)
  )
}

const concernsRows = (before: Service | undefined, after: Service | undefined): boolean =>
  before?.Endpoint !== after?.Endpoint || before?.Spec !== after?.Spec

const concernsPeers = (before: Node | undefined, after: Node | undefined): boolean =>
  !equal(before?.Gateways, after?.Gateways) ||
  !equal(before?.Attached, after?.Attached) ||
  (after?.Gateways !== undefined && before !== undefined && dataPathOf(before) !== dataPathOf(after))
