/** Which tasks no longer are what their service asks for, and which nodes suit it. */
import type { Node, Service, Task, VolumeAttachment } from "#actors/model/objects.ts"
import {
  isIngress,
  networksOf,
  protocolOf,
  sameTemplate,
  showPort,
  usesIngress
} from "#actors/model/service-facts.ts"
import type { PortConfig, ServiceSpec, TaskSpec } from "#actors/model/spec.ts"
import { isBefore } from "#actors/model/task-state.ts"
import { toMs } from "#actors/model/time.ts"
import { matches, parseConstraints } from "#actors/scheduler/match.ts"
import { surplusTest } from "#actors/scheduler/surplus.ts"
import { nodeOf, type View } from "#actors/service/slot.ts"

/** What of a view these look at. */
type Spot = Pick<View, "ledger" | "service">

/** True when `node` meets the constraints of the service's present spec; one that cannot be read is met by none. */
export function fitTest(view: Spot): (node: Node) => boolean {
  const expressions = view.service.Spec.TaskTemplate?.Placement?.Constraints ?? []
  if (expressions.length === 0) return () => true
  const constraints = parseConstraints(expressions)
  if (typeof constraints === "string") return () => false
  return (node) => matches(node, constraints)
}

/**
 * True while the task's node, if it has one, suits the service, and has room for the task, whose volumes are not drained. Whether the node is there is
 * another question.
 */
export function placeTest(view: View): (task: Task) => boolean {
  const fits = fitTest(view)
  const isSurplus = surplusTest(view.ledger)
  const isDrained = ({ ID: id }: VolumeAttachment): boolean =>
    view.ledger.get("volume", id)?.Spec.Availability === "drain"
  return (task) => {
    const node = nodeOf(view.ledger, task)
    return node === undefined || (fits(node) && !isSurplus(task) && task.Volumes?.some(isDrained) !== true)
  }
}

const withoutConstraints = (spec: TaskSpec): TaskSpec => {
  if (spec.Placement === undefined) return spec
  const { Constraints: _constraints, ...rest } = spec.Placement
  const { Placement: _placement, ...plain } = spec
  return Object.keys(rest).length === 0 ? plain : { ...plain, Placement: rest }
}

type Difference = "none" | "constraints" | "all"

/**
 * True when a task must be replaced for its service to be up to date.
 *
 * A task whose template differs in placement constraints alone stays, if its node meets the new ones; one that has
 * no node yet would go on looking for one by the old ones. One that was made before its service published a port,
 * or joined a network, has not the addresses for it.
 */
export function dirtyTest(view: Spot): (task: Task) => boolean {
  const { ledger, service } = view
  const template = service.Spec.TaskTemplate ?? {}
  const fits = fitTest(view)
  const byVersion = new Map<number, Difference>()
  const joined = joinedNetworks(view)
  const hasOtherPorts = portsTest(service)

  const differenceOf = (version: number): Difference => {
    const known = byVersion.get(version)
    if (known !== undefined) return known
    const held = ledger.taskSpec(service.ID, version)
    let difference: Difference = "all"
    if (held !== undefined && sameTemplate(held, template)) difference = "none"
    else if (held !== undefined && sameTemplate(withoutConstraints(held), withoutConstraints(template))) {
      difference = "constraints"
    }
    byVersion.set(version, difference)
    return difference
  }

  return (task) => {
    if (lacksNetworks(task, joined)) return true
    if (hasOtherPorts(task)) return true
    if (task.SpecVersion === service.SpecVersion) return false
    switch (differenceOf(task.SpecVersion)) {
      case "none":
        return false
      case "constraints": {
        const node = nodeOf(ledger, task)
        return node === undefined || !fits(node)
      }
      case "all":
        return true
    }
  }
}

const hostPortsOf = (spec: ServiceSpec | undefined): ReadonlyArray<PortConfig> =>
  (spec?.EndpointSpec?.Ports ?? []).filter((port) => !isIngress(port))

const showOpening = (port: PortConfig): string => `${port.TargetPort}:${showPort(port)}`
const showAll = (ports: ReadonlyArray<PortConfig>): string => ports.map(showOpening).sort().join()

/**
 * True for tasks with other host ports than the service now asks for. A task opens its host ports when its container is
 * made, and the template does not name them: what its node says of them counts, and where it says nothing, whether the
 * task is from before they were changed last. What an update that is over has left is as it should be.
 */
function portsTest({ PreviousSpec: previous, Spec: spec, UpdateStatus: status }: Service) {
  const isOver = status !== undefined && status.State !== "updating" && status.State !== "rollback_started"
  if (isOver) return () => false
  const since = status === undefined ? Number.POSITIVE_INFINITY : toMs(status.StartedAt)
  const asked = hostPortsOf(spec)
  const haveMoved = previous !== undefined && showAll(hostPortsOf(previous)) !== showAll(asked)
  return ({ CreatedAt, Status }: Task): boolean => {
    if (toMs(CreatedAt) >= since) return false
    const opened = Status.PortStatus?.Ports
    return opened === undefined ? haveMoved : !areThose(opened, asked)
  }
}

/** Where no number was asked for, any will do. */
function areThose(opened: ReadonlyArray<PortConfig>, asked: ReadonlyArray<PortConfig>): boolean {
  const isOf = (port: PortConfig) => (wanted: PortConfig) =>
    protocolOf(port) === protocolOf(wanted) &&
    port.TargetPort === wanted.TargetPort &&
    ((wanted.PublishedPort ?? 0) === 0 || port.PublishedPort === wanted.PublishedPort)
  return (
    opened.every((port) => asked.some(isOf(port))) &&
    asked.every((wanted) => opened.some((port) => isOf(port)(wanted)))
  )
}

/** Networks of ours that every task of the service is attached to, as far as they exist. */
function joinedNetworks(view: Spot): ReadonlyArray<string> {
  const { ledger, service } = view
  const found: Array<string> = []
  for (const target of networksOf(service.Spec)) {
    const network = ledger.get("network", target)
    if (network?.Vni !== undefined) found.push(network.ID)
  }
  if (usesIngress(service.Spec)) {
    for (const network of ledger.all("network")) {
      if (network.Ingress && network.Vni !== undefined) found.push(network.ID)
    }
  }
  return found
}

/** Attachments are given before a task is pending, so what has none by then will get none. */
function lacksNetworks(task: Task, joined: ReadonlyArray<string>): boolean {
  if (joined.length === 0 || isBefore(task.Status.State, "pending")) return false
  return joined.some((id) => task.Attachments?.some((attachment) => attachment.NetworkID === id) !== true)
}
