/**
 * Changes of the ledger as the Engine's events of swarm scope. Pure: who follows the feed and whom it is streamed
 * to is another file's business.
 */
import type { Change, ChangeSet } from "#actors/ledger/reader.ts"
import type { Network, Node, Service } from "#actors/model/objects.ts"
import { modeOf, replicasOf } from "#actors/model/service-facts.ts"
import { toMs } from "#actors/model/time.ts"

/** A line of `GET /events`. `timeNano` is exact to the millisecond. */
export interface EngineEvent {
  readonly Type: "service" | "node" | "network" | "secret" | "config"
  readonly Action: "create" | "update" | "remove"
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> }
  readonly scope: "swarm"
  /** Seconds since the epoch. */
  readonly time: number
  readonly timeNano: number
}

type Attributes = Readonly<Record<string, string>>

/** The events of one entry of the log, in the order of its changes. Tasks, volumes and the cluster have none. */
export function translate(changes: ChangeSet): ReadonlyArray<EngineEvent> {
  const events: Array<EngineEvent> = []
  for (const change of changes.changes) {
    const event = toEvent(change, changes.time)
    if (event !== undefined) events.push(event)
  }
  return events
}

function toEvent(change: Change, time: number): EngineEvent | undefined {
  if (change.kind === "task" || change.kind === "cluster" || change.kind === "volume") return undefined
  const { before, after } = change
  const object = after ?? before
  if (object === undefined) return undefined
  const Action = before === undefined ? "create" : after === undefined ? "remove" : "update"
  const at = toMs(Action === "create" ? object.CreatedAt : Action === "update" ? object.UpdatedAt : undefined)
  // What is gone has no time of its own.
  const ms = at === 0 ? time : at
  return {
    Type: change.kind,
    Action,
    Actor: { ID: object.ID, Attributes: attributesOf(change) },
    scope: "swarm",
    time: Math.floor(ms / 1000),
    timeNano: ms * 1_000_000
  }
}

function attributesOf(change: Change): Attributes {
  switch (change.kind) {
    case "node":
      return ofNode(change.before, change.after)
    case "service":
      return ofService(change.before, change.after)
    case "network":
      return { name: ((change.after ?? change.before) as Network).Name }
    case "secret":
    case "config":
      return { name: (change.after ?? change.before)?.Spec.Name ?? "" }
    default:
      return {}
  }
}

/** `x.new` and `x.old` when they differ; an empty one is not told. */
function step(name: string, before: string | undefined, after: string | undefined): Attributes {
  if (before === after) return {}
  return {
    ...(after === undefined || after === "" ? {} : { [`${name}.new`]: after }),
    ...(before === undefined || before === "" ? {} : { [`${name}.old`]: before })
  }
}

function ofNode(before: Node | undefined, after: Node | undefined): Attributes {
  const node = (after ?? before) as Node
  const name = { name: node.Spec.Name || (node.Description?.Hostname ?? node.ID) }
  if (before === undefined || after === undefined) return name
  const leads = ({ ManagerStatus: status }: Node): string | undefined =>
    status === undefined ? undefined : String(status.Leader === true)
  return {
    ...name,
    ...step("availability", before.Spec.Availability, after.Spec.Availability),
    ...step("role", before.Spec.Role, after.Spec.Role),
    ...step("state", before.Status.State, after.Status.State),
    ...step("leader", leads(before), leads(after)),
    ...step("reachability", before.ManagerStatus?.Reachability, after.ManagerStatus?.Reachability)
  }
}

function ofService(before: Service | undefined, after: Service | undefined): Attributes {
  const name = { name: (after ?? before)?.Spec.Name ?? "" }
  if (before === undefined || after === undefined) return name
  const image = ({ Spec: spec }: Service): string | undefined => spec.TaskTemplate?.ContainerSpec?.Image
  const replicas = ({ Spec: spec }: Service): string | undefined =>
    modeOf(spec) === "replicated" ? String(replicasOf(spec)) : undefined
  const state = after.UpdateStatus?.State
  return {
    ...name,
    ...step("image", image(before), image(after)),
    ...step("replicas", replicas(before), replicas(after)),
    // An update that begins takes the old status away; that is no news of its own.
    ...(state === undefined ? {} : step("updatestate", before.UpdateStatus?.State, state))
  }
}
