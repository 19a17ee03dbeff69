/** Which tasks no longer are what their service asks for, and which nodes suit it. */
import type { Node, Service, Task, VolumeAttachment } from "#actors/model/objects.ts"
import { isIngress, networksOf, sameTemplate, showPort, usesIngress } from "#actors/model/service-facts.ts"
import type { ServiceSpec, TaskSpec } from "#actors/model/spec.ts"
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
  const movedPorts = portsMovedAt(service)

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
    if (movedPorts !== undefined && toMs(task.CreatedAt) < movedPorts) return true
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

const hostPortsOf = (spec: ServiceSpec | undefined): string =>
  (spec?.EndpointSpec?.Ports ?? [])
    .filter((port) => !isIngress(port))
    .map((port) => `${port.TargetPort}:${showPort(port)}`)
    .sort()
    .join()

/**
 * Tasks from before this time have other host ports than the service now asks for; `undefined` when none has.
 * A task opens its host ports when its container is made, and the template does not name them.
 */
function portsMovedAt(service: Service): number | undefined {
  const { PreviousSpec: previous, Spec: spec, UpdateStatus: status } = service
  if (previous === undefined || hostPortsOf(previous) === hostPortsOf(spec)) return undefined
  if (status === undefined) return Number.POSITIVE_INFINITY
  // What an update that is over has left is as it should be.
  return status.State === "updating" || status.State === "rollback_started"
    ? toMs(status.StartedAt)
    : undefined
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
