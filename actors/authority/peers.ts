/** Who the ledger says may speak to whom: managers with their servers, and the nodes that connect to those. */
import type { Peer } from "#actors/authority/protocol.ts"
import type { Change, LedgerReader, View } from "#actors/ledger/reader.ts"
import type { Node } from "#actors/model/objects.ts"
import type { ManagerPorts, NatsKeys } from "#actors/model/trust.ts"
import { bracketed } from "#actors/network/ip.ts"
import { fingerprint } from "#runtime/fingerprint.ts"

/** A node's name in the Raft group: its own where its log has never begun anew. */
export const raftIdOf = ({ ManagerStatus, ID }: Node): string => ManagerStatus?.RaftId ?? ID

/** Where a manager lets nodes join, `host:port`. */
export const joinAddress = (address: string, { join }: ManagerPorts): string =>
  `${bracketed(address)}:${join}`

/** Where a manager's nats-server answers. */
export const serverOf = ({ address, ports }: Pick<Peer, "address" | "ports">): string =>
  `nats://${bracketed(address)}:${ports.nats}`

/** Where a cluster's managers are reached. */
export function peersOf(reader: LedgerReader): ReadonlyArray<Peer> {
  const peers: Array<Peer> = []
  for (const node of reader.all("node")) {
    const { ID, Status, ManagerStatus, Keys } = node
    if (ManagerStatus?.Ports === undefined || Keys === undefined) continue
    peers.push({
      nodeId: ID,
      raftId: raftIdOf(node),
      address: Status.Addr ?? "127.0.0.1",
      ports: ManagerStatus.Ports,
      keys: Keys
    })
  }
  return peers
}

const nothing = { shared: new Set(), secret: new Set<string>() }

/** A number that changes with where the managers are reached: a view, so that a heartbeat costs one look. */
export class PeersMark implements View {
  readonly #ledger: LedgerReader
  #mark: number | undefined
  constructor(ledger: LedgerReader) {
    this.#ledger = ledger
  }
  get mark(): number {
    this.#mark ??= fingerprint(nothing, ...peersOf(this.#ledger)).hash
    return this.#mark
  }
  readonly changed = (change: Change): void => {
    if (change.kind !== "node") return
    if (change.before?.ManagerStatus ?? change.after?.ManagerStatus) this.#mark = undefined
  }
}

export const peersMark = (ledger: LedgerReader): PeersMark => new PeersMark(ledger)

/** A node that is no manager: it has no server of its own. */
export interface WorkerPeer {
  readonly nodeId: string
  readonly keys: NatsKeys
}

/** The nodes that managers' nats-servers let in beside the managers. */
export function workersOf(reader: LedgerReader): ReadonlyArray<WorkerPeer> {
  const workers: Array<WorkerPeer> = []
  for (const { ID, ManagerStatus, Keys } of reader.all("node")) {
    if (ManagerStatus === undefined && Keys !== undefined) workers.push({ nodeId: ID, keys: Keys })
  }
  return workers
}
