/** What a service's spec comes to: its mode, its networks, its ports, and whether two task templates are one. */
import { httpRouteOf } from "#actors/model/http-route.ts"
import type { Service, Task } from "#actors/model/objects.ts"
import type { PortConfig, ServiceSpec, TaskSpec } from "#actors/model/spec.ts"

export type ModeName = "replicated" | "global" | "replicated-job" | "global-job"

/** A spec without a mode is replicated, as in Swarm. */
export function modeOf(spec: ServiceSpec): ModeName {
  if (spec.Mode?.Global !== undefined) return "global"
  if (spec.Mode?.ReplicatedJob !== undefined) return "replicated-job"
  if (spec.Mode?.GlobalJob !== undefined) return "global-job"
  return "replicated"
}

/** A service asks for no more tasks than this: as many in all as a manager's memory was measured with. */
export const mostReplicas = 1_000_000

/** How many tasks a replicated service asks for; one when the spec does not say. */
export const replicasOf = (spec: ServiceSpec): number => spec.Mode?.Replicated?.Replicas ?? 1

/**
 * Network ids a spec attaches to. Old clients name them at the service, newer ones in the task template, which
 * wins when both do.
 */
export function networksOf(spec: ServiceSpec): ReadonlyArray<string> {
  const attachments = spec.TaskTemplate?.Networks ?? spec.Networks ?? []
  return attachments.flatMap((network) => (network.Target === undefined ? [] : [network.Target]))
}

export const protocolOf = (port: PortConfig): "tcp" | "udp" | "sctp" => port.Protocol ?? "tcp"
export const isIngress = (port: PortConfig): boolean => (port.PublishMode ?? "ingress") === "ingress"
/** Its tasks are on the ingress network, where nodes reach them for whoever asks at a published port or an HTTP entrance. */
export const usesIngress = (spec: ServiceSpec): boolean =>
  (spec.EndpointSpec?.Ports ?? []).some(isIngress) || httpRouteOf(spec) !== undefined
export const showPort = (port: PortConfig): string => `${protocolOf(port)}/${port.PublishedPort ?? 0}`

/** `protocol/port` of every port that a service publishes, asked for or allotted. */
export function publishedPorts(service: Service): ReadonlySet<string> {
  const found = new Set<string>()
  for (const port of service.Spec.EndpointSpec?.Ports ?? []) {
    if ((port.PublishedPort ?? 0) !== 0) found.add(showPort(port))
  }
  for (const port of service.Endpoint?.Ports ?? []) {
    if (isIngress(port) && (port.PublishedPort ?? 0) !== 0) found.add(showPort(port))
  }
  return found
}

/**
 * `web.1.<task id>`. A global service's task has its node in the middle, and so has a job's in slot 0: Swarm knows
 * no slot 0 there.
 */
export const nameOfTask = (
  serviceName: string,
  { ID, Slot, NodeID }: Pick<Task, "ID" | "Slot" | "NodeID">
): string => `${serviceName}.${Slot === undefined || Slot === 0 ? (NodeID ?? "") : Slot}.${ID}`

/** Same shape and values, whatever the order of keys; absent and undefined are one. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, at) => equal(item, b[at]))
  }
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  for (const key of Object.keys(left)) if (!equal(left[key], right[key])) return false
  for (const key of Object.keys(right)) if (left[key] === undefined && right[key] !== undefined) return false
  return true
}

/** True when both templates describe the very same task. */
export const sameTemplate = (a: TaskSpec | undefined, b: TaskSpec | undefined): boolean =>
  equal(a ?? {}, b ?? {})
