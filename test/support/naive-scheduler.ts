/**
 * A scheduler that is right for being simple: for each task it asks every node every question anew, off the ledger's
 * own tables, and sorts. Shares nothing with the real one but the grammar of constraints.
 */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Task } from "#actors/model/objects.ts"
import { matches, parseConstraints } from "#actors/scheduler/match.ts"

const counting = ["assigned", "accepted", "preparing", "ready", "starting", "running"]
const wantedFor = [
  "new",
  "pending",
  "assigned",
  "accepted",
  "preparing",
  "ready",
  "starting",
  "running",
  "complete"
]

export const holding = (ledger: LedgerReader, node: Node): ReadonlyArray<Task> =>
  [...ledger.all("task")].filter((task) => task.NodeID === node.ID && counting.includes(task.Status.State))
export const counted = (ledger: LedgerReader, node: Node): ReadonlyArray<Task> =>
  holding(ledger, node).filter((task) => wantedFor.includes(task.DesiredState))

const specOf = (ledger: LedgerReader, task: Task) => ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? {}
const portsOf = (ledger: LedgerReader, serviceId: string) =>
  (ledger.get("service", serviceId)?.Spec.EndpointSpec?.Ports ?? [])
    .filter((port) => port.PublishMode === "host")
    .map((port) => `${port.Protocol ?? "tcp"}/${port.PublishedPort}`)

const heldBy = (ledger: LedgerReader, { ServiceID, Status }: Task) =>
  Status.PortStatus?.Ports?.map((port) => `${port.Protocol ?? "tcp"}/${port.PublishedPort}`) ??
  portsOf(ledger, ServiceID)

function left(ledger: LedgerReader, node: Node): { cpus: number; memory: number; gpus: number } {
  const offered = node.Description?.Resources
  const rest = { cpus: offered?.NanoCPUs ?? 0, memory: offered?.MemoryBytes ?? 0, gpus: 0 }
  for (const { NamedResourceSpec: named, DiscreteResourceSpec: counted } of offered?.GenericResources ?? []) {
    rest.gpus += named === undefined ? (counted?.Value ?? 0) : 1
  }
  for (const task of holding(ledger, node)) {
    const asked = specOf(ledger, task).Resources?.Reservations
    rest.cpus -= asked?.NanoCPUs ?? 0
    rest.memory -= asked?.MemoryBytes ?? 0
    for (const { NamedResourceSpec: named, DiscreteResourceSpec: some } of task.AssignedGenericResources ??
      []) {
      rest.gpus -= named === undefined ? (some?.Value ?? 0) : 1
    }
  }
  return rest
}

/** Why `node` cannot take `task`, by the name of the first filter in Swarm's order, or undefined. */
export function refusal(ledger: LedgerReader, node: Node, task: Task): string | undefined {
  const spec = specOf(ledger, task)
  if (node.Status.State !== "ready" || node.Spec.Availability !== "active") return "availability"
  const asked = spec.Resources?.Reservations
  const rest = left(ledger, node)
  const gpus = (asked?.GenericResources ?? []).reduce(
    (sum, one) => sum + (one.DiscreteResourceSpec?.Value ?? 0),
    0
  )
  if ((asked?.NanoCPUs ?? 0) > rest.cpus || (asked?.MemoryBytes ?? 0) > rest.memory || gpus > rest.gpus) {
    return "resources"
  }
  const constraints = parseConstraints(spec.Placement?.Constraints ?? [])
  if (typeof constraints === "string" || !matches(node, constraints)) return "constraints"
  const platforms = spec.Placement?.Platforms ?? []
  if (platforms.length > 0 && !platforms.some(({ OS }) => OS === node.Description?.Platform.OS))
    return "platform"
  const held = new Set(holding(ledger, node).flatMap((other) => heldBy(ledger, other)))
  if (portsOf(ledger, task.ServiceID).some((port) => held.has(port))) return "host ports"
  const most = spec.Placement?.MaxReplicas ?? 0
  const same = counted(ledger, node).filter((other) => other.ServiceID === task.ServiceID).length
  return most > 0 && same >= most ? "max replicas" : undefined
}

/** The node with fewest tasks of the service, in the branch with fewest, level by level. */
export function choose(ledger: LedgerReader, task: Task): Node | undefined {
  const suits = (node: Node): boolean => refusal(ledger, node, task) === undefined
  const ofService = (node: Node): number =>
    counted(ledger, node).filter((other) => other.ServiceID === task.ServiceID).length
  let nodes = [...ledger.all("node")]
  for (const { Spread } of specOf(ledger, task).Placement?.Preferences ?? []) {
    const label = (Spread?.SpreadDescriptor ?? "").replace("node.labels.", "")
    const branches = [...Map.groupBy(nodes, (node) => node.Spec.Labels?.[label] ?? "").values()]
    const open = branches.filter((branch) => branch.some(suits))
    const load = (branch: ReadonlyArray<Node>): number =>
      branch.reduce((sum, node) => sum + ofService(node), 0)
    nodes = open.sort((a, b) => load(a) - load(b))[0] ?? []
  }
  return nodes
    .filter(suits)
    .sort((a, b) => ofService(a) - ofService(b) || counted(ledger, a).length - counted(ledger, b).length)[0]
}
