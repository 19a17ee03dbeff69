/** Why a task waits, node by node, and what would have to change least for it to be placed: for people who ask. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Task } from "#actors/model/objects.ts"
import { lackingPlugins, type RuleName, rules, type Wanted, wanted } from "#actors/scheduler/filter.ts"
import { type Constraint, matches } from "#actors/scheduler/match.ts"
import { type Room, rooms as roomsOf } from "#actors/scheduler/rooms.ts"
import { showBytes } from "#runtime/show-bytes.ts"

/** Nodes that one filter turns away for one reason. */
export interface TurnedAway {
  readonly Filter: RuleName
  /** What about them does not fit. */
  readonly Reason: string
  /** Their host names, or ids where they have none. */
  readonly Nodes: ReadonlyArray<string>
}

export interface Diagnosis {
  readonly Suitable: ReadonlyArray<string>
  readonly TurnedAway: ReadonlyArray<TurnedAway>
  /** What to do for the node that lacks least; empty where a node suits, or there is none. */
  readonly Changes: ReadonlyArray<string>
}

interface Obstacle {
  readonly rule: RuleName
  readonly reason: string
  readonly change: string
  /** How much the change asks of people: 1 is a command, 2 one that takes back what somebody has decided, or more work. */
  readonly cost: number
}

/** What stands between nodes and a task of this version. A task that has its node (`nodeId`) asks that one alone. */
export function diagnose(
  ledger: LedgerReader,
  task: Pick<Task, "ServiceID" | "SpecVersion" | "NodeID">
): Diagnosis {
  const rooms = ledger.view(roomsOf)
  const asks: Asking = {
    wants: wanted(ledger, task.ServiceID, task.SpecVersion),
    service: ledger.get("service", task.ServiceID)?.Spec.Name ?? task.ServiceID,
    own: (room) => rooms.wantedOn(room, task.ServiceID)
  }
  const suitable: Array<string> = []
  const groups = new Map<string, { Filter: RuleName; Reason: string; Nodes: Array<string> }>()
  let least: ReadonlyArray<Obstacle> = []
  for (const room of rooms.all()) {
    if (task.NodeID !== undefined && room.node.ID !== task.NodeID) continue
    const obstacles = obstaclesOf(room, asks)
    const [first] = obstacles
    if (first === undefined) {
      suitable.push(nameOf(room.node))
      continue
    }
    const key = `${first.rule}: ${first.reason}`
    const group = groups.get(key) ?? { Filter: first.rule, Reason: first.reason, Nodes: [] }
    group.Nodes.push(nameOf(room.node))
    groups.set(key, group)
    if (least.length === 0 || costOf(obstacles) < costOf(least)) least = obstacles
  }
  const order = [...rules.map(({ name }): RuleName => name), "max replicas"]
  const turnedAway = [...groups.values()].sort((a, b) => order.indexOf(a.Filter) - order.indexOf(b.Filter))
  const changes = suitable.length > 0 ? [] : least.map(({ change }) => change)
  return { Suitable: suitable, TurnedAway: turnedAway, Changes: changes }
}

interface Asking {
  readonly wants: Wanted
  readonly service: string
  /** How many of the service's tasks a node has. */
  readonly own: (room: Room) => number
}

const nameOf = (node: Node): string => node.Description?.Hostname || node.ID
const costOf = (obstacles: ReadonlyArray<Obstacle>): number =>
  obstacles.reduce((sum, { cost }) => sum + cost, 0)

/** All that is in the way on one node, in the filters' order. */
function obstaclesOf(room: Room, asks: Asking): ReadonlyArray<Obstacle> {
  const found: Array<Obstacle> = []
  for (const rule of rules) if (!rule.admits(room, asks.wants)) found.push(explainers[rule.name](room, asks))
  const { maxReplicas } = asks.wants
  if (maxReplicas > 0 && asks.own(room) >= maxReplicas) {
    found.push({
      rule: "max replicas",
      reason: `${maxReplicas} of the service's tasks already, no more are allowed per node`,
      change: `docker service update --replicas-max-per-node ${maxReplicas + 1} ${asks.service}`,
      cost: 1
    })
  }
  return found
}

type Explain = (room: Room, asks: Asking) => Obstacle

const explainers: Readonly<Record<Exclude<RuleName, "max replicas">, Explain>> = {
  availability: ({ node }) => {
    const rule = "availability"
    const name = nameOf(node)
    if (node.Status.State !== "ready") {
      return {
        rule,
        reason: node.Status.State,
        change: `bring ${name} back: it is ${node.Status.State}`,
        cost: 3
      }
    }
    const reason = node.Spec.Availability === "drain" ? "drained" : "paused"
    return { rule, reason, change: `docker node update --availability active ${name}`, cost: 2 }
  },

  resources: (room, { wants: { demand }, service }) => {
    const lacking: Array<string> = []
    const lower: Array<string> = []
    const missing: Array<string> = []
    if (room.cpus < demand.cpus) {
      lacking.push(`wants ${cpus(demand.cpus)}, ${cpus(room.cpus)} free`)
      lower.push(`--reserve-cpu ${Math.max(0, room.cpus) / 1e9}`)
      missing.push(cpus(demand.cpus - room.cpus))
    }
    if (room.memory < demand.memory) {
      lacking.push(`wants ${showBytes(demand.memory)} of memory, ${showBytes(room.memory)} free`)
      lower.push(`--reserve-memory ${Math.max(0, room.memory)}`)
      missing.push(`${showBytes(demand.memory - room.memory)} of memory`)
    }
    for (const [kind, amount] of demand.generic) {
      const left = room.generic?.left(kind) ?? 0
      if (left >= amount) continue
      lacking.push(`wants ${amount} of ${kind}, ${left} free`)
      lower.push(left > 0 ? `--generic-resource-add ${kind}=${left}` : `--generic-resource-rm ${kind}`)
      missing.push(`${amount - left} of ${kind}`)
    }
    return {
      rule: "resources",
      reason: lacking.join(", "),
      change: `free ${missing.join(" and ")} on ${nameOf(room.node)}, or docker service update ${lower.join(" ")} ${service}`,
      cost: 2 * lacking.length
    }
  },

  plugins: ({ node }, { wants }) => {
    const lacking = lackingPlugins(node, wants).map((plugin) => plugin.replace("/", " driver "))
    const change = `install ${lacking.join(" and ")} on ${nameOf(node)}`
    return { rule: "plugins", reason: `no ${lacking.join(", no ")}`, change, cost: 3 * lacking.length }
  },

  constraints: ({ node }, { wants, service }) => {
    if (wants.unreadable) {
      const change = `correct the constraints of ${service}: one of them cannot be read`
      return { rule: "constraints", reason: "a constraint that cannot be read", change, cost: 1 }
    }
    const unmet = wants.constraints.filter((constraint) => !matches(node, [constraint]))
    return {
      rule: "constraints",
      reason: unmet.map((constraint) => `not ${show(constraint)}`).join(", "),
      change: unmet.map((constraint) => meet(constraint, node, service)).join("; "),
      cost: unmet.length
    }
  },

  platform: ({ node }, { wants: { platforms }, service }) => {
    const shown = (platform: { OS?: string; Architecture?: string }): string =>
      [platform.OS, platform.Architecture].filter((part) => (part ?? "") !== "").join("/")
    const own = shown(node.Description?.Platform ?? {}) || "an unknown platform"
    const change = `give ${service} an image for ${own}; it has one for ${platforms.map(shown).join(", ")}`
    return { rule: "platform", reason: `is ${own}`, change, cost: 4 }
  },

  "host ports": ({ node, hostPorts }, { wants, service }) => {
    const taken = wants.hostPorts.filter((port) => hostPorts?.has(port) === true)
    const change = `free ${taken.join(", ")} on ${nameOf(node)}, add a node, or publish another port of ${service}`
    return { rule: "host ports", reason: `${taken.join(", ")} in use`, change, cost: 3 }
  },

  volumes: ({ node }, { wants: { volumeMounts, uses }, service }) => {
    const unmet = volumeMounts.filter((mount) => uses.choose(node, [mount]) === undefined)
    // Where each has one by itself, it is the same one.
    const sources = [...new Set((unmet.length === 0 ? volumeMounts : unmet).map(({ Source = "" }) => Source))]
    const change = `make ${sources.join(" and ")} available to ${service} on ${nameOf(node)}: docker volume ls --cluster`
    return {
      rule: "volumes",
      reason: `no volume for ${sources.join(", ")}`,
      change,
      cost: 2 * sources.length
    }
  }
}

const show = ({ key, operator, value }: Constraint): string => `${key} ${operator} ${value}`

/** The command after which `node` meets the constraint. */
function meet(constraint: Constraint, node: Node, service: string): string {
  const { key, operator, value } = constraint
  const prefix = "node.labels."
  if (key.toLowerCase().startsWith(prefix)) {
    const label = key.slice(prefix.length)
    return operator === "=="
      ? `docker node update --label-add ${label}=${value} ${nameOf(node)}`
      : `docker node update --label-rm ${label} ${nameOf(node)}`
  }
  if (key.toLowerCase() === "node.role") {
    return `docker node ${node.Spec.Role === "manager" ? "demote" : "promote"} ${nameOf(node)}`
  }
  return `docker service update --constraint-rm '${show(constraint)}' ${service}`
}

const cpus = (nanos: number): string => `${Math.max(0, nanos) / 1e9} CPUs`
