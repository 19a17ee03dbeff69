/** What the history keeps as the Engine's events of swarm scope: the same that `events.ts` made when it happened. */
import type { EngineEvent } from "#actors/gateway/events.ts"
import type { ChangedField } from "#actors/history/compare.ts"
import type { HistoryRecord } from "#actors/history/describe.ts"
import type { Journal } from "#actors/history/journal.ts"

const types = ["service", "node", "network", "secret", "config"] as const satisfies ReadonlyArray<
  EngineEvent["Type"] & HistoryRecord["Kind"]
>

/** Fields that are told of in an event of that kind, and as what. */
const told: Readonly<Record<string, ReadonlyArray<readonly [field: string, attribute: string]>>> = {
  node: [
    ["Spec.Availability", "availability"],
    ["Spec.Role", "role"],
    ["Status.State", "state"],
    ["ManagerStatus.Leader", "leader"],
    ["ManagerStatus.Reachability", "reachability"]
  ],
  service: [
    ["Spec.TaskTemplate.ContainerSpec.Image", "image"],
    ["Spec.Mode.Replicated.Replicas", "replicas"],
    ["UpdateStatus.State", "updatestate"]
  ]
}

/** Oldest first. Tasks, volumes and the cluster have no events. */
export const eventsOf = (journal: Journal): ReadonlyArray<EngineEvent> =>
  journal
    .newestOf({ kinds: new Set(types) }, Number.POSITIVE_INFINITY)
    .changes.map(({ text, time }) => toEvent(JSON.parse(text) as HistoryRecord, time))

function toEvent({ Kind, Action, ID, Name, Changed }: HistoryRecord, ms: number): EngineEvent {
  const attributes: Record<string, string> = { name: Name }
  const changeOf = (field: string): ChangedField | undefined => Changed.find(({ Field }) => Field === field)
  for (const [field, attribute] of told[Kind] ?? []) {
    const change = attribute === "leader" ? leading(changeOf) : changeOf(field)
    if (change !== undefined) Object.assign(attributes, step(attribute, change))
  }
  return {
    Type: Kind as EngineEvent["Type"],
    Action,
    Actor: { ID, Attributes: attributes },
    scope: "swarm",
    time: Math.floor(ms / 1000),
    timeNano: ms * 1_000_000
  }
}

/** A manager that does not lead does not say so; a node that is no manager has no address as one either. */
function leading(changeOf: (field: string) => ChangedField | undefined): ChangedField | undefined {
  const [address, leader] = [changeOf("ManagerStatus.Addr"), changeOf("ManagerStatus.Leader")]
  if (address === undefined && leader === undefined) return undefined
  return {
    Field: "ManagerStatus.Leader",
    ...((address === undefined || "Before" in address) && { Before: leader?.Before === true }),
    ...((address === undefined || "After" in address) && { After: leader?.After === true })
  }
}

/** An update that begins takes the old status away, which is no news of its own. */
function step(
  name: string,
  { Before: before, After: after }: ChangedField
): Readonly<Record<string, string>> {
  if (name === "updatestate" && after === undefined) return {}
  return {
    ...(after !== undefined && after !== "" && { [`${name}.new`]: String(after) }),
    ...(before !== undefined && before !== "" && { [`${name}.old`]: String(before) })
  }
}
