/**
 * From changes of the ledger to events for other systems. Facts are named one by one, so that nothing that a later
 * field may hold, a secret's data least of all, gets out by itself.
 */
import type { ClusterEvent, Facts, Sequence } from "#actors/api/events.ts"
import type { Change, ChangeSet } from "#actors/ledger/reader.ts"
import type { Node, Service, Task } from "#actors/model/objects.ts"
import { modeOf, replicasOf } from "#actors/model/service-facts.ts"
import { toIso } from "#actors/model/time.ts"

/** The events of one entry, in its order. `last` is the event before them. */
export function describe(changeSet: ChangeSet, last: Sequence): ReadonlyArray<ClusterEvent> {
  const { index, changes } = changeSet
  const { after, of } = changeSet.part ?? { after: 0, of: changes.length }
  const time = toIso(changeSet.time)
  let previous = last
  return changes.map((change, at) => {
    const sequence = { index, position: after + at + 1, of }
    const event = { ...describeChange(change, sequence, previous, time), ...changeSet.origin }
    previous = sequence
    return event
  })
}

function describeChange(change: Change, sequence: Sequence, previous: Sequence, time: string): ClusterEvent {
  const object = change.after ?? change.before
  const facts = factsOf(change.kind, object)
  const action = change.before === undefined ? "create" : change.after === undefined ? "remove" : "update"
  return {
    sequence,
    previous,
    time,
    resource: change.kind,
    action,
    id: object?.ID ?? "",
    version: object?.Version.Index ?? 0,
    object: facts,
    ...(action === "update" ? { before: difference(factsOf(change.kind, change.before), facts) } : {})
  }
}

/** What `before` says otherwise than `after`. */
function difference(before: Facts, after: Facts): Facts {
  const differing = Object.entries(before).filter(([name, value]) => after[name as keyof Facts] !== value)
  return Object.fromEntries(differing)
}

function factsOf(kind: Change["kind"], object: Change["after"]): Facts {
  if (object === undefined) return {}
  switch (kind) {
    case "service":
      return serviceFacts(object as Service)
    case "task":
      return taskFacts(object as Task)
    case "node":
      return nodeFacts(object as Node)
    case "network": {
      const network = object as Extract<Change, { kind: "network" }>["after"]
      return present({ name: network?.Name, driver: network?.Driver })
    }
    case "secret":
    case "config":
    case "volume":
    case "cluster": {
      const named = object as { readonly Spec: { readonly Name?: string } }
      return present({ name: named.Spec.Name })
    }
  }
}

function serviceFacts({ Spec, UpdateStatus }: Service): Facts {
  const mode = modeOf(Spec)
  return present({
    name: Spec.Name,
    image: Spec.TaskTemplate?.ContainerSpec?.Image,
    mode,
    replicas: mode === "replicated" ? replicasOf(Spec) : undefined,
    state: UpdateStatus?.State,
    message: UpdateStatus?.Message
  })
}

function taskFacts(task: Task): Facts {
  return present({
    serviceId: task.ServiceID,
    nodeId: task.NodeID,
    slot: task.Slot,
    state: task.Status.State,
    desiredState: task.DesiredState,
    message: task.Status.Message,
    error: task.Status.Err,
    exitCode: task.Status.ContainerStatus?.ExitCode
  })
}

function nodeFacts(node: Node): Facts {
  return present({
    name: node.Description?.Hostname,
    role: node.Spec.Role,
    availability: node.Spec.Availability,
    state: node.Status.State,
    message: node.Status.Message,
    leader: node.ManagerStatus?.Leader
  })
}

type Loose<T> = { readonly [K in keyof T]?: T[K] | undefined }

/** Leaves out what is not known. */
const present = (facts: Loose<Facts>): Facts =>
  Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
