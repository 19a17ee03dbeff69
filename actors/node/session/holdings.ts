/** What the leader gave a node to hold, and what each change of it means to the actors of its tasks and networks. */
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import type { PortEndpoint } from "#actors/drivers/led.ts"
import { publishesLogs } from "#actors/logs/publish/policy.ts"
import type { TaskStatus } from "#actors/model/objects.ts"
import { equal, protocolOf } from "#actors/model/service-facts.ts"
import { newest } from "#actors/model/task-state.ts"
import { nanosToMs } from "#actors/model/time.ts"
import { merge } from "#actors/network/merge.ts"
import type { NetworkPlan, PublishedPort } from "#actors/network/plan.ts"
import type { NetworkMessage } from "#actors/network/protocol.ts"
import type { OverlayTable, ServiceRow } from "#actors/network/table.ts"
import type { ActivatorMessage, Sleeper } from "#actors/node/activator/protocol.ts"
import type { AssignedFile, AssignedTask, AssignedVolume } from "#actors/node/protocol.ts"
import type { Assign } from "#actors/node/session/protocol.ts"
import type { Watched } from "#actors/node/stats/protocol.ts"
import type { Place, Pursue, TaskMessage } from "#actors/task/protocol.ts"
import type { MountsMessage } from "#actors/volumes/mounts/protocol.ts"
import { type CommonAction, spawn, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"

interface Held {
  assigned: AssignedTask
  /** What its actor reported last. */
  status: TaskStatus | undefined
}

/** A task that must go. */
export interface Leaving {
  /** How it is found by an actor that has never heard of it. */
  readonly parting: { readonly container: string; readonly graceMs: number }
  /** Its last lines are published, too. */
  readonly publishes: boolean
}

/** Changed in place: it belongs to the session alone. */
export interface Holdings {
  readonly tasks: Map<string, Held>
  readonly leaving: Map<string, Leaving>
  readonly networks: Map<string, NetworkPlan>
  /** What is known of each overlay that this node takes part in. */
  readonly overlays: Map<string, OverlayTable>
  readonly secrets: Map<string, AssignedFile>
  readonly configs: Map<string, AssignedFile>
  readonly volumes: Map<string, AssignedVolume>
  /** Ids of containers by task, as the last survey found them. */
  readonly found: Map<string, string>
  /** All published ports of the cluster, once told. */
  ports: ReadonlyArray<PublishedPort> | undefined
}

export const noHoldings = (): Holdings => ({
  tasks: new Map(),
  leaving: new Map(),
  networks: new Map(),
  overlays: new Map(),
  secrets: new Map(),
  configs: new Map(),
  volumes: new Map(),
  found: new Map(),
  ports: undefined
})

/** Tasks that run, and which of them are of services that follow their load. */
export function watched({ tasks }: Holdings): ReadonlyArray<Watched> {
  const found: Array<Watched> = []
  for (const [id, { assigned, status }] of tasks) {
    if (status?.State !== "running") continue
    const { ContainerID: container = "", PID: pid = 0 } = status.ContainerStatus ?? {}
    const scaled = asksForScaling({ Labels: assigned.labels })
    if (container !== "") found.push({ id, container, pid, scaled })
  }
  return found
}

/** The ports that running tasks open here themselves, by a number that was asked for. */
export const hosted = ({ tasks }: Holdings): ReadonlyArray<PortEndpoint> =>
  [...tasks.values()].flatMap(({ assigned: { serviceId, hostPorts = [] }, status }) =>
    status?.State !== "running"
      ? []
      : hostPorts.flatMap((port): ReadonlyArray<PortEndpoint> => {
          const [protocol, publishedPort = 0] = [protocolOf(port), port.PublishedPort]
          if (protocol === "sctp" || publishedPort === 0) return []
          return [{ _tag: "Port", serviceId, mode: "host", protocol, publishedPort }]
        })
  )

/** Tasks of which the output is published, until they are gone. */
export const published = ({ tasks, leaving }: Holdings): ReadonlyArray<string> => [
  ...[...tasks].flatMap(([id, { assigned }]) => (publishesLogs(assigned.labels) ? [id] : [])),
  ...[...leaving].flatMap(([id, { publishes }]) => (publishes && !tasks.has(id) ? [id] : []))
]

/** The services of which the leader wants to know what this node's HTTP entrance is asked. */
export const routed = ({ overlays }: Holdings): ReadonlySet<string> =>
  new Set(entering(overlays).flatMap(({ serviceId, http, awaits }) => (http && awaits ? [serviceId] : [])))

/** The services that have no task until somebody asks, and where that can be. */
export const sleepers = ({ overlays }: Holdings): ReadonlyArray<Sleeper> =>
  entering(overlays).flatMap(({ serviceId, http, awaits, ports, tasks }) => {
    if (awaits !== "caller" || tasks.some(({ serving }) => serving)) return []
    const published = ports.flatMap(({ protocol, publishedPort }) =>
      protocol === "tcp" && publishedPort !== undefined ? [publishedPort] : []
    )
    return [{ id: serviceId, routed: http !== undefined, ports: published }]
  })

export function watchFor(sleepers: ReadonlyArray<Sleeper>, session: string, home: string): CommonAction {
  const message: ActivatorMessage = { _tag: "Watch", session, sleepers }
  return tell(address(home, "activator", "main"), message)
}

const entering = (overlays: Holdings["overlays"]): ReadonlyArray<ServiceRow> =>
  [...overlays.values()].flatMap(({ ingress, services }) => (ingress ? services : []))

export const toTask = (home: string, id: string, message: TaskMessage): CommonAction =>
  tell(address(home, "task", id), message)

const toNetwork = (home: string, message: NetworkMessage): CommonAction =>
  tell(address(home, "network", "main"), message)

/** Takes an assignment whole or as a change; networks come before the tasks that need them. */
export function take(holdings: Holdings, message: Assign, place: Place): Array<CommonAction> {
  const { tasks, networks, secrets, configs } = holdings
  const home = place.nodeId
  const actions: CommonAction[] = []
  const dropped = new Set(message.dropped)
  if (message.complete) {
    for (const id of missingFrom(networks, message.networks)) dropped.add(id)
    secrets.clear()
    configs.clear()
  }
  const added = message.networks.filter((network) => !equal(networks.get(network.id), network))
  for (const network of message.networks) networks.set(network.id, network)
  for (const secret of message.secrets) secrets.set(secret.id, secret)
  for (const config of message.configs) configs.set(config.id, config)
  if (takeVolumes(holdings, message)) actions.push(remindMounts(holdings, home))
  if (takeOverlays(holdings, message)) {
    actions.push(tables(holdings, home))
    const asleep = sleepers(holdings)
    if (asleep.length > 0) actions.push(watchFor(asleep, message.session, home))
  } else if (brings(holdings, message)) actions.push(tables(holdings, home))
  if (added.length > 0 && !message.complete) actions.push(toNetwork(home, { _tag: "Want", plans: added }))
  for (const assigned of message.tasks) {
    const held = tasks.get(assigned.id)
    if (held) held.assigned = assigned
    else tasks.set(assigned.id, { assigned, status: undefined })
    actions.push(spawn("task", assigned.id, undefined))
    const pursuit = pursuitOf(holdings, assigned.id, place)
    if (pursuit) actions.push(toTask(home, assigned.id, pursuit))
  }
  const removed = message.complete ? missingFrom(tasks, message.tasks) : message.removed
  for (const id of removed) actions.push(...forget(holdings, id, home))
  const gone = [...dropped].filter((id) => networks.delete(id))
  for (const id of dropped) {
    secrets.delete(id)
    configs.delete(id)
  }
  if (message.complete) actions.push(toNetwork(home, { _tag: "Keep", plans: [...networks.values()] }))
  else if (gone.length > 0) actions.push(toNetwork(home, { _tag: "Drop", networks: gone }))
  if (message.ports !== undefined) {
    holdings.ports = message.ports
    actions.push(toNetwork(home, { _tag: "Publish", ports: message.ports }))
  }
  return actions
}

/** True when there is anything new to know of this node's volumes. */
function takeVolumes({ volumes }: Holdings, { complete, volumes: news = [], dropped }: Assign): boolean {
  const had = volumes.size
  if (complete) volumes.clear()
  const gone = dropped.filter((id) => volumes.delete(id))
  for (const volume of news) volumes.set(volume.id, volume)
  return news.length + gone.length > 0 || (complete && had > 0)
}

/** All that the actor of mounts must know. */
export const remindMounts = ({ volumes }: Holdings, home: string): CommonAction =>
  tell(address(home, "mounts", "main"), {
    _tag: "Keep",
    volumes: [...volumes.values()]
  } satisfies MountsMessage)

/** True when there is anything new to know of this node's overlays. */
function takeOverlays({ overlays }: Holdings, message: Assign): boolean {
  const { complete, overlays: changes = [], overlaysGone = [] } = message
  const news = complete || changes.length > 0 || overlaysGone.length > 0
  if (complete) overlays.clear()
  for (const id of overlaysGone) overlays.delete(id)
  for (const change of changes) {
    const table = merge(overlays.get(change.networkId), change)
    if (table !== undefined) overlays.set(change.networkId, table)
  }
  return news
}

/** True when a certificate that the node's HTTP entrance shows is among the news. */
function brings(holdings: Holdings, { secrets }: Assign): boolean {
  const shown = secrets.length === 0 ? [] : shownBy(holdings)
  return secrets.some((secret) => shown.includes(secret))
}

/** The secrets that have certificates of services' hosts, as far as this node was given them. */
function shownBy({ overlays, secrets }: Holdings): ReadonlyArray<AssignedFile> {
  const names = new Set<string>()
  for (const { ingress, services } of overlays.values()) {
    if (ingress) for (const { http } of services) if (http?.tls !== undefined) names.add(http.tls.secret)
  }
  return names.size === 0 ? [] : [...secrets.values()].filter(({ name }) => names.has(name))
}

const tables = (holdings: Holdings, home: string): CommonAction =>
  toNetwork(home, {
    _tag: "Tables",
    tables: [...holdings.overlays.values()],
    certificates: shownBy(holdings)
  })

/** All that the network actor must know, for one that begins again. */
export const remindNetwork = (holdings: Holdings, home: string): ReadonlyArray<CommonAction> => [
  tables(holdings, home),
  toNetwork(home, { _tag: "Keep", plans: [...holdings.networks.values()] }),
  ...(holdings.ports === undefined ? [] : [toNetwork(home, { _tag: "Publish", ports: holdings.ports })])
]

function missingFrom(
  known: ReadonlyMap<string, unknown>,
  given: ReadonlyArray<{ readonly id: string }>
): string[] {
  const ids = new Set(given.map(({ id }) => id))
  return [...known.keys()].filter((id) => !ids.has(id))
}

/** Lets a task go: its actor removes what is left of it and says `Forgotten`. */
function forget({ tasks, leaving, found }: Holdings, id: string, home: string): ReadonlyArray<CommonAction> {
  const held = tasks.get(id)
  if (held === undefined) return []
  tasks.delete(id)
  const grace = held.assigned.spec.ContainerSpec?.StopGracePeriod
  const parting = {
    container: found.get(id) ?? held.assigned.name,
    graceMs: grace === undefined ? 10_000 : Math.max(0, nanosToMs(grace))
  }
  leaving.set(id, { parting, publishes: publishesLogs(held.assigned.labels) })
  return [toTask(home, id, { _tag: "Forget", ...parting })]
}

/**
 * The goal of a task with everything it refers to. Its state is the newest that the leader or this node knows, so
 * that an actor that begins again does not go back.
 */
export function pursuitOf(holdings: Holdings, id: string, place: Place): Pursue | undefined {
  const held = holdings.tasks.get(id)
  if (held === undefined) return undefined
  const { assigned, status } = held
  const spec = assigned.spec.ContainerSpec
  const containerId = holdings.found.get(id)
  return {
    _tag: "Pursue",
    assigned: status === undefined ? assigned : { ...assigned, state: newest(assigned.state, status.State) },
    networks: among(
      holdings.networks,
      assigned.attachments.map(({ NetworkID }) => NetworkID)
    ),
    secrets: among(
      holdings.secrets,
      (spec?.Secrets ?? []).map(({ SecretID }) => SecretID)
    ),
    configs: among(
      holdings.configs,
      (spec?.Configs ?? []).map(({ ConfigID }) => ConfigID)
    ),
    place,
    ...(containerId !== undefined && { containerId })
  }
}

const among = <Value>(
  map: ReadonlyMap<string, Value>,
  ids: ReadonlyArray<string | undefined>
): ReadonlyArray<Value> =>
  ids.flatMap((id) => {
    const value = id === undefined ? undefined : map.get(id)
    return value === undefined ? [] : [value]
  })
