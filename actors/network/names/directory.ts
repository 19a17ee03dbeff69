/**
 * The names of a node's overlays, indexed: built once when the tables change, asked at every question.
 *
 * Names are kept in small letters; a name means what it means on one network, and to one asker.
 */
import { isWithin, keyOf } from "#actors/network/names/address-key.ts"
import type { Zone, ZoneService, ZoneTask } from "#actors/network/names/zone.ts"

/** What goes by a name: a service, all of a service's tasks, or one task. */
export type Holder =
  | { readonly kind: "service" | "tasks"; readonly service: ZoneService }
  | { readonly kind: "task"; readonly service: ZoneService; readonly task: ZoneTask }

interface Network {
  readonly zone: Zone
  readonly suffix: string
  readonly names: ReadonlyMap<string, ReadonlyArray<Holder>>
  /** The full name of whoever has an address, by its key. */
  readonly addresses: ReadonlyMap<string, string>
}

/** What one asker can see, the network that is asked first in front. */
export interface Scope {
  readonly networks: ReadonlyArray<Network>
  /** Where the asker's service wants other names to be looked up (`--dns`); the node's own resolvers if absent. */
  readonly resolvers?: ReadonlyArray<string>
  /** No network of the asker leads out of the cluster. */
  readonly isInternal: boolean
}

export interface Found {
  readonly network: Network
  readonly holders: ReadonlyArray<Holder>
}

const most = 4_096

export class Directory {
  readonly #networks: ReadonlyArray<Network>
  /** By the keys of tasks' addresses. */
  readonly #tasks = new Map<string, string>()
  readonly #ofTask = new Map<string, { networks: Array<Network>; resolvers?: ReadonlyArray<string> }>()
  readonly #scopes = new Map<string, Scope | undefined>()
  /** The node's own addresses on the overlays, by key: whoever asks there asks us. */
  readonly #own = new Set<string>()

  constructor(zones: ReadonlyArray<Zone>) {
    this.#networks = zones.map(networkOf).sort(inOrder)
    for (const network of this.#networks) {
      for (const { gateway } of network.zone.subnets) this.#own.add(keyOf(gateway) ?? "")
      for (const { tasks } of network.zone.services) for (const task of tasks) this.#addTask(network, task)
    }
  }

  #addTask(network: Network, { taskId, addresses, resolvers }: ZoneTask): void {
    for (const address of addresses) {
      const key = keyOf(address)
      if (key !== undefined) this.#tasks.set(key, taskId)
    }
    const known = this.#ofTask.get(taskId)
    if (known !== undefined) known.networks.push(network)
    else this.#ofTask.set(taskId, { networks: [network], ...(resolvers !== undefined && { resolvers }) })
  }

  /**
   * What whoever asks from this address can see: all networks of the task that has it. An address that no task has, yet,
   * sees the network it lies in; `undefined` for one of no network here.
   */
  scopeOf(asker: string): Scope | undefined {
    const known = this.#scopes.get(asker)
    if (known !== undefined || this.#scopes.has(asker)) return known
    const scope = this.#findScope(asker)
    if (this.#scopes.size >= most) this.#scopes.clear()
    this.#scopes.set(asker, scope)
    return scope
  }

  #findScope(asker: string): Scope | undefined {
    const key = keyOf(asker)
    if (key === undefined) return undefined
    const task = this.#ofTask.get(this.#tasks.get(key) ?? "")
    const networks =
      task?.networks ??
      this.#networks.filter(({ zone }) => zone.subnets.some(({ subnet }) => isWithin(key, subnet)))
    if (networks.length === 0) return undefined
    const isInternal = networks.every(({ zone }) => zone.internal)
    return { networks, isInternal, ...(task?.resolvers !== undefined && { resolvers: task.resolvers }) }
  }

  /** Whether a question that is sent to this address comes back to us. */
  isOwn(address: string): boolean {
    return this.#own.has(keyOf(address) ?? "")
  }
}

/** As in Swarm: the ingress network is asked last, the others by name. */
function inOrder({ zone: a }: Network, { zone: b }: Network): number {
  if (a.ingress !== b.ingress) return a.ingress ? 1 : -1
  return a.name < b.name ? -1 : 1
}

function networkOf(zone: Zone): Network {
  const names = new Map<string, Array<Holder>>()
  const hostnames = new Map<string, Array<Holder>>()
  const addresses = new Map<string, string>()
  const add = (to: Map<string, Array<Holder>>, text: string, holder: Holder): void => {
    const name = text.toLowerCase()
    const holders = to.get(name)
    if (holders === undefined) to.set(name, [holder])
    // A service may have its own name, or one alias twice, among its aliases.
    else if (!holders.some((other) => other.kind !== "task" && other.service === holder.service)) {
      holders.push(holder)
    }
  }
  for (const service of zone.services) {
    for (const name of [service.name, ...service.aliases]) {
      add(names, name, { kind: "service", service })
      add(names, `tasks.${name}`, { kind: "tasks", service })
    }
    for (const vip of service.vips) addresses.set(keyOf(vip) ?? "", `${service.name}.${zone.name}`)
    for (const task of service.tasks) {
      add(names, task.name, { kind: "task", service, task })
      if (zone.attachable && task.hostname !== undefined) {
        add(hostnames, task.hostname, { kind: "task", service, task })
      }
      for (const address of task.addresses) addresses.set(keyOf(address) ?? "", `${task.name}.${zone.name}`)
    }
  }
  // A host's own idea of its name takes nobody else's.
  for (const [name, holders] of hostnames) if (!names.has(name)) names.set(name, holders)
  return { zone, suffix: `.${zone.name.toLowerCase()}`, names, addresses }
}

/** Who goes by the name in this scope: as it stands on any network, else before a network's name (`web.shop`). */
export function find(scope: Scope, name: string): Found | undefined {
  for (const network of scope.networks) {
    const holders = network.names.get(name)
    if (holders !== undefined) return { network, holders }
  }
  for (const network of scope.networks) {
    if (!name.endsWith(network.suffix)) continue
    const holders = network.names.get(name.slice(0, -network.suffix.length))
    if (holders !== undefined) return { network, holders }
  }
  return undefined
}
