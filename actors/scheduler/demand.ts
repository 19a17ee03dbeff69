/** What a task asks of the node that takes it. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Task } from "#actors/model/objects.ts"
import { isIngress, showPort } from "#actors/model/service-facts.ts"
import type { ServiceSpec, TaskSpec } from "#actors/model/spec.ts"

export interface Demand {
  readonly cpus: number
  readonly memory: number
  /** How many of each kind of generic resource. */
  readonly generic: ReadonlyMap<string, number>
}

const nothing: ReadonlyMap<string, number> = new Map()
const demands = new WeakMap<TaskSpec, Demand>()

export function demandOf(spec: TaskSpec): Demand {
  const known = demands.get(spec)
  if (known !== undefined) return known
  const asked = spec.Resources?.Reservations
  const generic = new Map<string, number>()
  for (const { DiscreteResourceSpec: counted } of asked?.GenericResources ?? []) {
    const { Kind: kind, Value: amount = 0 } = counted ?? {}
    if (kind !== undefined) generic.set(kind, (generic.get(kind) ?? 0) + amount)
  }
  const demand = {
    cpus: asked?.NanoCPUs ?? 0,
    memory: asked?.MemoryBytes ?? 0,
    generic: generic.size === 0 ? nothing : generic
  }
  demands.set(spec, demand)
  return demand
}

const noPorts: ReadonlyArray<string> = []

/** `tcp/8080` of every port that a service's tasks open on their nodes. */
export function hostPortsOf(spec: ServiceSpec | undefined): ReadonlyArray<string> {
  const ports = spec?.EndpointSpec?.Ports
  if (ports === undefined) return noPorts
  return ports.filter((port) => !isIngress(port) && (port.PublishedPort ?? 0) !== 0).map(showPort)
}

/** `tcp/8080` of every port that a task has opened on its node; absent while it has not said so. */
export function openedPorts({ Status }: Task): ReadonlyArray<string> | undefined {
  const ports = Status.PortStatus?.Ports
  return ports && [...new Set(ports.map(showPort))]
}

/** What it has opened is in others' way until it has ended, whatever has become of its service. */
export const heldPorts = (ledger: LedgerReader, task: Task): ReadonlyArray<string> =>
  openedPorts(task) ?? hostPortsOf(ledger.get("service", task.ServiceID)?.Spec)
