/** One rule per reason why a node cannot take a task, each with Swarm's words for it. */
import type { Node } from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import { type Constraint, matches, parseConstraints } from "#actors/scheduler/match.ts"
import { type Demand, hasGeneric, type Room } from "#actors/scheduler/room.ts"

/** Everything a rule may ask about a group of identical tasks. */
export interface Wanted {
  readonly serviceId: string
  readonly spec: TaskSpec
  readonly demand: Demand
  readonly constraints: ReadonlyArray<Constraint>
  /** A constraint that cannot be read is met by no node. */
  readonly unreadable: boolean
}

export function wanted(serviceId: string, spec: TaskSpec, demand: Demand): Wanted {
  const parsed = parseConstraints(spec.Placement?.Constraints ?? [])
  const unreadable = typeof parsed === "string"
  return { serviceId, spec, demand, constraints: unreadable ? [] : parsed, unreadable }
}

interface Rule {
  readonly name: string
  readonly admits: (room: Room, wanted: Wanted) => boolean
  /** Says how many nodes the rule turned away. */
  readonly explain: (nodes: number) => string
}

const onNodes = (nodes: number): string => (nodes === 1 ? "1 node" : `${nodes} nodes`)

/** In Swarm's order: the first rule that turns a node away is the one that is told. */
export const rules: ReadonlyArray<Rule> = [
  {
    name: "availability",
    admits: ({ node }) => node.Status.State === "ready" && (node.Spec.Availability ?? "active") === "active",
    explain: (nodes) => `${onNodes(nodes)} not available for new tasks`
  },
  {
    name: "resources",
    admits: (room, { demand }) =>
      room.cpus >= demand.cpus && room.memory >= demand.memory && hasGeneric(room, demand),
    explain: (nodes) => `insufficient resources on ${onNodes(nodes)}`
  },
  {
    name: "plugins",
    admits: ({ node }, { spec }) => hasPlugins(node, spec),
    explain: (nodes) => `missing plugin on ${onNodes(nodes)}`
  },
  {
    name: "constraints",
    admits: ({ node }, { constraints, unreadable }) => !unreadable && matches(node, constraints),
    explain: (nodes) => `scheduling constraints not satisfied on ${onNodes(nodes)}`
  },
  {
    name: "platform",
    admits: ({ node }, { spec }) => runsPlatform(node, spec),
    explain: (nodes) => `unsupported platform on ${onNodes(nodes)}`
  },
  {
    name: "host ports",
    admits: (room, { demand }) => demand.hostPorts.every((port) => !room.hostPorts.has(port)),
    explain: (nodes) => `host-mode port already in use on ${onNodes(nodes)}`
  },
  {
    name: "max replicas",
    admits: (room, { spec, serviceId }) => {
      const most = spec.Placement?.MaxReplicas ?? 0
      return most === 0 || (room.byService.get(serviceId) ?? 0) < most
    },
    explain: () => "max replicas per node limit exceed"
  }
]

/** The position of the first rule that turns the node away, or −1. */
export function obstacle(room: Room, wants: Wanted): number {
  return rules.findIndex((rule) => !rule.admits(room, wants))
}

/** `no suitable node (insufficient resources on 2 nodes; …)`, most frequent reason first. */
export function explain(turnedAway: ReadonlyArray<number>): string {
  const reasons = turnedAway
    .map((nodes, rule) => ({ nodes, rule }))
    .filter(({ nodes }) => nodes > 0)
    .sort((a, b) => b.nodes - a.nodes)
    .map(({ nodes, rule }) => rules[rule]?.explain(nodes) ?? "")
  return reasons.length === 0 ? "no suitable node" : `no suitable node (${reasons.join("; ")})`
}

function hasPlugins(node: Node, spec: TaskSpec): boolean {
  const plugins = node.Description?.Engine.Plugins ?? []
  const has = (type: string, name: string): boolean =>
    plugins.some(
      (plugin) => plugin.Type === type && (plugin.Name === name || plugin.Name === `${name}:latest`)
    )
  for (const mount of spec.ContainerSpec?.Mounts ?? []) {
    const driver = mount.Type === "volume" ? (mount.VolumeOptions?.DriverConfig?.Name ?? "") : ""
    if (driver !== "" && driver !== "local" && !has("Volume", driver)) return false
  }
  const log = spec.LogDriver?.Name ?? ""
  // An Engine too old to list its log drivers is given the benefit of the doubt, as in Swarm.
  const listsLogs = plugins.some((plugin) => plugin.Type === "Log")
  return log === "" || log === "none" || !listsLogs || has("Log", log)
}

const architectures: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64" }
const architecture = (name: string): string => architectures[name.toLowerCase()] ?? name.toLowerCase()

function runsPlatform(node: Node, spec: TaskSpec): boolean {
  const platforms = spec.Placement?.Platforms ?? []
  if (platforms.length === 0) return true
  const own = node.Description?.Platform
  if (own === undefined) return false
  return platforms.some(
    (platform) =>
      ((platform.OS ?? "") === "" || platform.OS?.toLowerCase() === own.OS?.toLowerCase()) &&
      ((platform.Architecture ?? "") === "" ||
        architecture(platform.Architecture ?? "") === architecture(own.Architecture ?? ""))
  )
}
