/**
 * What each node has left: reservations, ports, counts. A view of the ledger, so that a look of the scheduler costs what
 * it places and not what there is. While it places, the scheduler takes from here too, and gives all of it back after.
 */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Service, Task } from "#actors/model/objects.ts"
import type { GenericResource, TaskSpec } from "#actors/model/spec.ts"
import { isBefore, isLive, isWanted } from "#actors/model/task-state.ts"
import { type Demand, demandOf, heldPorts, hostPortsOf, openedPorts } from "#actors/scheduler/demand.ts"
import { Generic } from "#actors/scheduler/generic.ts"

export interface Room {
  /** The newest of what the ledger knows of it. */
  node: Node
  /** Smaller for nodes that were known earlier: ties go to them, so that equal inputs place equally. */
  readonly order: number
  /** Billionths of a CPU, and bytes. Less than nothing where the node shrank under its tasks. */
  cpus: number
  memory: number
  /** Absent where the node offers none. */
  generic: Generic | undefined
  /** How many tasks hold each host-mode port (`tcp/8080`). Absent while none does. */
  hostPorts: Map<string, number> | undefined
  /** All tasks that count here. */
  tasks: number
}

/** A service's part of one node. */
export interface Share {
  /** Tasks that count as replicas. */
  wanted: number
  /** Those, and tasks that are still to go: they hold what they reserved until they are gone. */
  held: number
}

const nowhere: ReadonlyMap<Room, Share> = new Map()
const unspecified: TaskSpec = {}

/** A task holds its share of a node from when it is assigned until it has ended. */
export const holds = (task: Task): boolean =>
  task.NodeID !== undefined && isLive(task.Status.State) && !isBefore(task.Status.State, "assigned")

export class Rooms {
  readonly #ledger: LedgerReader
  readonly #rooms = new Map<string, Room>()
  readonly #shares = new Map<string, Map<Room, Share>>()
  /** All of them, each at its `order`; empty places are nodes that are gone. */
  readonly byOrder: Array<Room | undefined> = []

  constructor(ledger: LedgerReader) {
    this.#ledger = ledger
    for (const node of ledger.all("node")) this.#open(node)
    for (const task of ledger.all("task")) this.#count(task, 1)
  }

  all(): IterableIterator<Room> {
    return this.#rooms.values()
  }

  of(nodeId: string): Room | undefined {
    return this.#rooms.get(nodeId)
  }

  /** Where a service's tasks are. */
  sharesOf(serviceId: string): ReadonlyMap<Room, Share> {
    return this.#shares.get(serviceId) ?? nowhere
  }

  /** How many of a service's tasks count on a node. */
  wantedOn(room: Room, serviceId: string): number {
    return this.#shares.get(serviceId)?.get(room)?.wanted ?? 0
  }

  /** Puts a task there, and says which generic resources it is given. `giveBack` undoes it. */
  take(room: Room, serviceId: string, demand: Demand, ports: ReadonlyArray<string>) {
    const given = demand.generic.size === 0 ? [] : (room.generic?.choose(demand.generic) ?? [])
    this.#move(room, serviceId, { demand, ports, given, isWanted: true }, 1)
    return given
  }

  giveBack(
    room: Room,
    serviceId: string,
    demand: Demand,
    ports: ReadonlyArray<string>,
    given: ReadonlyArray<GenericResource>
  ): void {
    this.#move(room, serviceId, { demand, ports, given, isWanted: true }, -1)
  }

  changed(change: Change): void {
    switch (change.kind) {
      case "task":
        this.#taskChanged(change.before, change.after)
        return
      case "node":
        this.#nodeChanged(change.before, change.after)
        return
      case "service":
        this.#portsChanged(change.before, change.after)
        return
      default:
        return
    }
  }

  #taskChanged(before: Task | undefined, after: Task | undefined): void {
    if (before !== undefined && after !== undefined && isSame(before, after)) return
    if (before !== undefined) this.#count(before, -1)
    if (after !== undefined) this.#count(after, 1)
  }

  #nodeChanged(before: Node | undefined, after: Node | undefined): void {
    const room = this.#rooms.get(after?.ID ?? before?.ID ?? "")
    if (after === undefined) {
      if (room !== undefined) this.#close(room)
    } else if (room === undefined) {
      this.#open(after)
      for (const task of this.#ledger.tasksOfNode(after.ID)) this.#count(task, 1)
    } else {
      if (room.node.Description?.Resources !== after.Description?.Resources) {
        this.#offer(room, room.node, -1)
        this.#offer(room, after, 1)
      }
      room.node = after
    }
  }

  /** Tasks that have not opened any yet are going to open the ports that their service asks for now. */
  #portsChanged(before: Service | undefined, after: Service | undefined): void {
    const [was, is] = [hostPortsOf(before?.Spec), hostPortsOf(after?.Spec)]
    if (was.join() === is.join()) return
    for (const task of this.#ledger.tasksOfService(after?.ID ?? before?.ID ?? "")) {
      const room = this.#rooms.get(task.NodeID ?? "")
      if (room === undefined || !holds(task) || openedPorts(task) !== undefined) continue
      holdPorts(room, was, -1)
      holdPorts(room, is, 1)
    }
  }

  #open(node: Node): void {
    const room: Room = {
      node,
      order: this.byOrder.length,
      cpus: 0,
      memory: 0,
      generic: undefined,
      hostPorts: undefined,
      tasks: 0
    }
    this.#offer(room, node, 1)
    this.#rooms.set(node.ID, room)
    this.byOrder.push(room)
  }

  #close(room: Room): void {
    this.#rooms.delete(room.node.ID)
    this.byOrder[room.order] = undefined
    for (const [serviceId, shares] of this.#shares) {
      if (shares.delete(room) && shares.size === 0) this.#shares.delete(serviceId)
    }
  }

  #offer(room: Room, node: Node, sign: 1 | -1): void {
    const offered = node.Description?.Resources
    room.cpus += sign * (offered?.NanoCPUs ?? 0)
    room.memory += sign * (offered?.MemoryBytes ?? 0)
    if (sign === -1) return
    const generic = offered?.GenericResources ?? []
    if (generic.length > 0) room.generic ??= new Generic()
    room.generic?.offer(generic)
  }

  #count(task: Task, sign: 1 | -1): void {
    if (!holds(task)) return
    const room = this.#rooms.get(task.NodeID ?? "")
    if (room === undefined) return
    const demand = demandOf(this.#ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? unspecified)
    const ports = heldPorts(this.#ledger, task)
    const given = task.AssignedGenericResources ?? []
    this.#move(room, task.ServiceID, { demand, ports, given, isWanted: isWanted(task) }, sign)
  }

  #move(room: Room, serviceId: string, held: Held, sign: 1 | -1): void {
    room.cpus -= sign * held.demand.cpus
    room.memory -= sign * held.demand.memory
    if (held.ports.length > 0) holdPorts(room, held.ports, sign)
    if (held.given.length > 0) {
      room.generic ??= new Generic()
      room.generic.count(held.given, sign)
    }
    const share = this.#share(room, serviceId)
    share.held += sign
    if (held.isWanted) {
      share.wanted += sign
      room.tasks += sign
    }
    if (share.held === 0) this.#forget(room, serviceId)
  }

  #share(room: Room, serviceId: string): Share {
    let shares = this.#shares.get(serviceId)
    if (shares === undefined) {
      shares = new Map()
      this.#shares.set(serviceId, shares)
    }
    let share = shares.get(room)
    if (share === undefined) {
      share = { wanted: 0, held: 0 }
      shares.set(room, share)
    }
    return share
  }

  #forget(room: Room, serviceId: string): void {
    const shares = this.#shares.get(serviceId)
    shares?.delete(room)
    if (shares?.size === 0) this.#shares.delete(serviceId)
  }
}

interface Held {
  readonly demand: Demand
  readonly ports: ReadonlyArray<string>
  readonly given: ReadonlyArray<GenericResource>
  readonly isWanted: boolean
}

/** Nothing that is counted here differs: most changes of tasks are about how far they have come. */
const isSame = (before: Task, after: Task): boolean =>
  holds(before) === holds(after) &&
  before.NodeID === after.NodeID &&
  isWanted(before) === isWanted(after) &&
  before.SpecVersion === after.SpecVersion &&
  openedPorts(before)?.join() === openedPorts(after)?.join() &&
  (before.AssignedGenericResources?.length ?? 0) === (after.AssignedGenericResources?.length ?? 0)

function holdPorts(room: Room, ports: ReadonlyArray<string>, count: number): void {
  for (const port of ports) {
    room.hostPorts ??= new Map()
    const holders = (room.hostPorts.get(port) ?? 0) + count
    if (holders === 0) room.hostPorts.delete(port)
    else room.hostPorts.set(port, holders)
  }
}

/** The rooms of a ledger, for `LedgerReader.view`. */
export const rooms = (ledger: LedgerReader): Rooms => new Rooms(ledger)
