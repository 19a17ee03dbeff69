/** One change of the ledger as the history keeps it. */
import { type ChangedField, compare } from "#actors/history/compare.ts"
import type { Change, ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import type { Network, Node, Service, Task } from "#actors/model/objects.ts"
import { nameOfTask } from "#actors/model/service-facts.ts"
import { toIso, toMs } from "#actors/model/time.ts"

/** A place in the history: the entry of the ledger, and which of its changes, from 1. */
export interface Place {
  readonly index: number
  readonly position: number
}

/** What happened to one object: the line that people and other systems get. */
export interface HistoryRecord {
  /** `812.1`: see `Place`. */
  readonly Sequence: string
  /** RFC 3339. */
  readonly Time: string
  readonly Kind: Change["kind"]
  readonly Action: "create" | "update" | "remove"
  readonly ID: string
  readonly Name: string
  /** Of a task. */
  readonly ServiceID?: string
  /** Who asked; empty where it is not known, because it came with a snapshot. */
  readonly Who: string
  readonly Why: string
  /** What its status says now, where that is news. */
  readonly Says?: string
  readonly Changed: ReadonlyArray<ChangedField>
}

export const showPlace = ({ index, position }: Place): string => `${index}.${position}`

export const comparePlaces = (a: Place, b: Place): number => a.index - b.index || a.position - b.position

/** What one entry did, in its order, without what was merely heard of again. */
export function describe(
  set: ChangeSet,
  names: Pick<LedgerReader, "get">
): ReadonlyArray<readonly [Place, HistoryRecord]> {
  const after = set.part?.after ?? 0
  const found: Array<readonly [Place, HistoryRecord]> = []
  for (const [at, change] of set.changes.entries()) {
    if (!isNews(change)) continue
    const place = { index: set.index, position: after + at + 1 }
    found.push([place, record(change, place, timeOf(change, set.time), set.origin, names)])
  }
  return found
}

/** A node that was heard of again keeps its version. */
const isNews = ({ before, after }: Change): boolean =>
  before === undefined || before.Version.Index !== after?.Version.Index

/** What came with a snapshot is as old as the object says; what is gone has no time of its own. */
function timeOf({ before, after }: Change, entry: number): string {
  const at = toMs(before === undefined ? after?.CreatedAt : after?.UpdatedAt)
  return toIso(at === 0 ? entry : at)
}

function record(
  { kind, before, after }: Change,
  place: Place,
  time: string,
  origin: ChangeSet["origin"],
  names: Pick<LedgerReader, "get">
): HistoryRecord {
  const object = after ?? before
  const says = saysOf(after)
  return {
    Sequence: showPlace(place),
    Time: time,
    Kind: kind,
    Action: before === undefined ? "create" : after === undefined ? "remove" : "update",
    ID: object?.ID ?? "",
    Name: nameOf(kind, object, names),
    ...(kind === "task" && { ServiceID: (object as Task).ServiceID }),
    Who: origin?.who ?? "",
    Why: origin?.why ?? "",
    ...(says !== undefined && says !== saysOf(before) && { Says: says }),
    Changed: before && after ? compare(tellable(kind, before), tellable(kind, after)) : []
  }
}

/** Of tasks there may be a million: what became of them, without what they were given. */
function tellable(kind: Change["kind"], object: object): object {
  if (kind !== "task") return object
  const { DesiredState, NodeID, Status } = object as Task
  const { State, ContainerStatus } = Status
  return { DesiredState, NodeID, Status: { State, ContainerStatus } }
}

function saysOf(object: Change["after"]): string | undefined {
  if (object === undefined) return undefined
  const { Status, UpdateStatus } = object as Partial<Pick<Task, "Status"> & Pick<Service, "UpdateStatus">>
  return Status?.Err || Status?.Message || UpdateStatus?.Message
}

function nameOf(kind: Change["kind"], object: Change["after"], names: Pick<LedgerReader, "get">): string {
  if (object === undefined) return ""
  switch (kind) {
    case "task": {
      const task = object as Task
      return nameOfTask(names.get("service", task.ServiceID)?.Spec.Name ?? task.ServiceID, task)
    }
    case "node": {
      const { Spec, Description, ID } = object as Node
      return Spec.Name || (Description?.Hostname ?? ID)
    }
    case "network":
      return (object as Network).Name
    default:
      return (object as { readonly Spec: { readonly Name?: string } }).Spec.Name ?? ""
  }
}
