/** One rule per reason why a node cannot take a task, each with Swarm's words for it. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Node } from "#actors/model/objects.ts"
import type { MountSpec, Platform, TaskSpec } from "#actors/model/spec.ts"
import { clusterMounts } from "#actors/model/volume-facts.ts"
import { type Demand, demandOf, hostPortsOf } from "#actors/scheduler/demand.ts"
import { type Constraint, matches, parseConstraints } from "#actors/scheduler/match.ts"
import type { Room } from "#actors/scheduler/rooms.ts"
import { type Uses, uses } from "#actors/volumes/uses.ts"

/** Everything a rule may ask about a group of identical tasks. */
export interface Wanted {
  readonly demand: Demand
  readonly hostPorts: ReadonlyArray<string>
  readonly constraints: ReadonlyArray<Constraint>
  /** A constraint that cannot be read is met by no node. */
  readonly unreadable: boolean
  readonly platforms: ReadonlyArray<Platform>
  /** Drivers that must be there, as `Volume/NAME` and `Network/NAME`. */
  readonly plugins: ReadonlyArray<string>
  /** The log driver that must be there, where the node says which it has. */
  readonly logDriver: string | undefined
  /** Mounts of cluster volumes, and who knows which volume is free for them. */
  readonly volumeMounts: ReadonlyArray<MountSpec>
  readonly uses: Uses
  /** Labels to spread over, outermost first. */
  readonly spreadOver: ReadonlyArray<string>
  /** 0 for no limit. It alone is about the service; groups that want the same otherwise are one to the other rules. */
  readonly maxReplicas: number
}

export function wanted(ledger: LedgerReader, serviceId: string, specVersion: number): Wanted {
  const spec = ledger.taskSpec(serviceId, specVersion) ?? {}
  const { Constraints = [], Platforms = [], Preferences = [], MaxReplicas = 0 } = spec.Placement ?? {}
  const parsed = parseConstraints(Constraints)
  const unreadable = typeof parsed === "string"
  const log = spec.LogDriver?.Name ?? ""
  return {
    demand: demandOf(spec),
    hostPorts: hostPortsOf(ledger.get("service", serviceId)?.Spec),
    constraints: unreadable ? [] : parsed,
    unreadable,
    platforms: Platforms,
    plugins: pluginsOf(ledger, spec),
    logDriver: log === "" || log === "none" ? undefined : log,
    volumeMounts: clusterMounts(spec),
    uses: ledger.view(uses),
    spreadOver: Preferences.flatMap(({ Spread }) => Spread?.SpreadDescriptor ?? []),
    maxReplicas: MaxReplicas
  }
}

/** Equal for all that the same nodes suit, and in the same branches. */
export function likeness(wants: Wanted): string {
  const { demand, maxReplicas: _perService, uses: _common, logDriver = "", unreadable, ...lists } = wants
  let text = `${demand.cpus} ${demand.memory} ${unreadable} ${logDriver}`
  if (demand.generic.size > 0) text += ` generic ${JSON.stringify([...demand.generic])}`
  for (const [name, list] of Object.entries(lists))
    if (list.length > 0) text += ` ${name} ${JSON.stringify(list)}`
  return text
}

function pluginsOf(ledger: LedgerReader, spec: TaskSpec): ReadonlyArray<string> {
  const needed: Array<string> = []
  for (const mount of spec.ContainerSpec?.Mounts ?? []) {
    const driver = mount.Type === "volume" ? (mount.VolumeOptions?.DriverConfig?.Name ?? "") : ""
    if (driver !== "" && driver !== "local") needed.push(`Volume/${driver}`)
  }
  for (const { Target: target = "" } of spec.Networks ?? []) {
    const driver = ledger.get("network", target)?.Driver ?? ""
    // An overlay is ours, whatever the Engine has.
    if (driver !== "" && driver !== "overlay") needed.push(`Network/${driver}`)
  }
  return needed
}

interface Rule {
  readonly name: string
  readonly admits: (room: Room, wanted: Wanted) => boolean
  /** Says how many nodes the rule turned away. */
  readonly explain: (nodes: number) => string
}

const onNodes = (nodes: number): string => (nodes === 1 ? "1 node" : `${nodes} nodes`)

/** In Swarm's order: the first rule that turns a node away is the one that is told. */
export const rules = [
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
    admits: ({ node }, wants) => lackingPlugins(node, wants).length === 0,
    explain: (nodes) => `missing plugin on ${onNodes(nodes)}`
  },
  {
    name: "constraints",
    admits: ({ node }, { constraints, unreadable }) => !unreadable && matches(node, constraints),
    explain: (nodes) => `scheduling constraints not satisfied on ${onNodes(nodes)}`
  },
  {
    name: "platform",
    admits: ({ node }, { platforms }) => runsPlatform(node, platforms),
    explain: (nodes) => `unsupported platform on ${onNodes(nodes)}`
  },
  {
    name: "host ports",
    admits: ({ hostPorts }, wants) =>
      hostPorts === undefined || !wants.hostPorts.some((port) => hostPorts.has(port)),
    explain: (nodes) => `host-mode port already in use on ${onNodes(nodes)}`
  },
  {
    name: "volumes",
    admits: ({ node }, { volumeMounts, uses }) =>
      volumeMounts.length === 0 || uses.choose(node, volumeMounts) !== undefined,
    explain: (nodes) => `cannot fulfill requested CSI volume mounts on ${onNodes(nodes)}`
  }
] as const satisfies ReadonlyArray<Rule>

export type RuleName = (typeof rules)[number]["name"] | "max replicas"

/** The position of the first rule that turns the node away, or −1. Whether the service is there too often is apart. */
export function obstacle(room: Room, wants: Wanted): number {
  for (let at = 0; at < rules.length; at++) if (rules[at]?.admits(room, wants) === false) return at
  return -1
}

const maxReplicasExceeded = "max replicas per node limit exceed"

/** What each rule says of how many nodes it turned away, in the rules' order; of those that turned away none nothing. */
export function sayings(
  turnedAway: ReadonlyArray<number>,
  full: number
): ReadonlyArray<{ readonly rule: RuleName; readonly nodes: number; readonly text: string }> {
  const said: Array<{ rule: RuleName; nodes: number; text: string }> = rules.map((rule, at) => {
    const nodes = turnedAway[at] ?? 0
    return { rule: rule.name, nodes, text: rule.explain(nodes) }
  })
  said.push({ rule: "max replicas", nodes: full, text: maxReplicasExceeded })
  return said.filter(({ nodes }) => nodes > 0)
}

/** `no suitable node (insufficient resources on 2 nodes; …)`, most frequent reason first. */
export function explain(turnedAway: ReadonlyArray<number>, full: number): string {
  const reasons = [...sayings(turnedAway, full)].sort((a, b) => b.nodes - a.nodes).map(({ text }) => text)
  return reasons.length === 0 ? "no suitable node" : `no suitable node (${reasons.join("; ")})`
}

function hasGeneric({ generic }: Room, demand: Demand): boolean {
  for (const [kind, amount] of demand.generic) if ((generic?.left(kind) ?? 0) < amount) return false
  return true
}

const noPlugins: ReadonlyArray<string> = []

/** Which of the plugins that are needed a node does not have, as `Volume/NAME`. */
export function lackingPlugins(node: Node, { plugins: needed, logDriver }: Wanted): ReadonlyArray<string> {
  if (needed.length === 0 && logDriver === undefined) return noPlugins
  const plugins = node.Description?.Engine.Plugins ?? []
  const has = (plugin: string): boolean =>
    plugins.some(({ Type, Name }) => `${Type}/${Name}` === plugin || `${Type}/${Name}` === `${plugin}:latest`)
  const lacking = needed.filter((plugin) => !has(plugin))
  // An Engine too old to list its log drivers is given the benefit of the doubt, as in Swarm.
  const listsLogs = plugins.some((plugin) => plugin.Type === "Log")
  if (logDriver !== undefined && listsLogs && !has(`Log/${logDriver}`)) lacking.push(`Log/${logDriver}`)
  return lacking
}

const architectures: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64" }
const architecture = (name: string): string => architectures[name.toLowerCase()] ?? name.toLowerCase()

function runsPlatform(node: Node, platforms: ReadonlyArray<Platform>): boolean {
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
