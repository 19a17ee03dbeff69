/**
 * What each node has left, in a form that placing a task changes as it goes: reservations, ports, counts.
 *
 * Built from the ledger for one turn of the scheduler.
 */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Task } from "#actors/model/objects.ts"
import { isIngress, protocolOf } from "#actors/model/service-facts.ts"
import type { GenericResource, PortConfig, TaskSpec } from "#actors/model/spec.ts"
import { isLive, isWanted } from "#actors/model/task-state.ts"

export interface Room {
  readonly node: Node
  cpus: number
  memory: number
  /** Amount left per kind of discrete generic resource. */
  readonly discrete: Map<string, number>
  /** Names left per kind of named generic resource. */
  readonly named: Map<string, Array<string>>
  /** `tcp/8080` of every host-mode port in use. */
  readonly hostPorts: Set<string>
  /** All tasks that count here. */
  tasks: number
  /** Tasks that count here, per service. */
  readonly byService: Map<string, number>
}

/** What one task asks a node for. */
export interface Demand {
  readonly cpus: number
  readonly memory: number
  readonly discrete: ReadonlyMap<string, number>
  readonly hostPorts: ReadonlyArray<string>
}

export function demandOf(spec: TaskSpec, ports: ReadonlyArray<PortConfig>): Demand {
  const asked = spec.Resources?.Reservations
  const discrete = new Map<string, number>()
  for (const resource of asked?.GenericResources ?? []) {
    const { Kind: kind, Value: value } = resource.DiscreteResourceSpec ?? {}
    if (kind !== undefined) discrete.set(kind, (discrete.get(kind) ?? 0) + (value ?? 0))
  }
  const hostPorts: Array<string> = []
  for (const port of ports) {
    if (isIngress(port) || (port.PublishedPort ?? 0) === 0) continue
    hostPorts.push(`${protocolOf(port)}/${port.PublishedPort}`)
  }
  return { cpus: asked?.NanoCPUs ?? 0, memory: asked?.MemoryBytes ?? 0, discrete, hostPorts }
}

/** A task holds its share of a node while it may still run there. */
const counts = (task: Task): boolean => isLive(task.Status.State) && isWanted(task)

export function roomOf(ledger: LedgerReader, node: Node): Room {
  const offered = node.Description?.Resources
  const room: Room = {
    node,
    cpus: offered?.NanoCPUs ?? 0,
    memory: offered?.MemoryBytes ?? 0,
    discrete: new Map(),
    named: new Map(),
    hostPorts: new Set(),
    tasks: 0,
    byService: new Map()
  }
  for (const resource of offered?.GenericResources ?? []) {
    const { Kind: kind, Value: amount } = resource.DiscreteResourceSpec ?? {}
    if (kind !== undefined) room.discrete.set(kind, (room.discrete.get(kind) ?? 0) + (amount ?? 0))
    const { Kind: group, Value: name } = resource.NamedResourceSpec ?? {}
    if (group !== undefined && name !== undefined) {
      room.named.set(group, [...(room.named.get(group) ?? []), name])
    }
  }
  for (const task of ledger.tasksOfNode(node.ID)) {
    // A task that waits for a place on its node (global services) has not taken it yet.
    if (!isLive(task.Status.State) || task.Status.State === "pending" || task.Status.State === "new") continue
    const spec = ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? {}
    const ports = ledger.get("service", task.ServiceID)?.Spec.EndpointSpec?.Ports ?? []
    const demand = demandOf(spec, ports)
    room.cpus -= demand.cpus
    room.memory -= demand.memory
    for (const port of demand.hostPorts) room.hostPorts.add(port)
    for (const held of task.AssignedGenericResources ?? []) release(room, held, -1)
    if (!counts(task)) continue
    room.tasks += 1
    room.byService.set(task.ServiceID, (room.byService.get(task.ServiceID) ?? 0) + 1)
  }
  return room
}

function release(room: Room, held: GenericResource, sign: 1 | -1): void {
  const { Kind: kind, Value: amount } = held.DiscreteResourceSpec ?? {}
  if (kind !== undefined) room.discrete.set(kind, (room.discrete.get(kind) ?? 0) + sign * (amount ?? 0))
  const { Kind: group, Value: name } = held.NamedResourceSpec ?? {}
  if (group !== undefined && name !== undefined) {
    room.named.set(
      group,
      (room.named.get(group) ?? []).filter((free) => free !== name)
    )
  }
}

export const hasGeneric = (room: Room, demand: Demand): boolean =>
  [...demand.discrete].every(
    ([kind, amount]) =>
      (room.discrete.get(kind) ?? 0) >= amount || (room.named.get(kind)?.length ?? 0) >= amount
  )

/** Takes what the task asks for, and returns the generic resources that it was given by name or number. */
export function occupy(room: Room, serviceId: string, demand: Demand): ReadonlyArray<GenericResource> {
  room.cpus -= demand.cpus
  room.memory -= demand.memory
  for (const port of demand.hostPorts) room.hostPorts.add(port)
  room.tasks += 1
  room.byService.set(serviceId, (room.byService.get(serviceId) ?? 0) + 1)
  const given: Array<GenericResource> = []
  for (const [kind, amount] of demand.discrete) {
    const names = room.named.get(kind) ?? []
    if (names.length >= amount) {
      for (const name of names.splice(0, amount))
        given.push({ NamedResourceSpec: { Kind: kind, Value: name } })
    } else {
      room.discrete.set(kind, (room.discrete.get(kind) ?? 0) - amount)
      given.push({ DiscreteResourceSpec: { Kind: kind, Value: amount } })
    }
  }
  return given
}
