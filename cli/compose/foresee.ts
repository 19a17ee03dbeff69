/** Where the scheduler would place what a plan makes, by its own decision over what the API shows. */
import { LedgerTables } from "#actors/ledger/tables.ts"
import type { Service, Task } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { isWanted } from "#actors/model/task-state.ts"
import { toIso } from "#actors/model/time.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { place } from "#actors/scheduler/place.ts"
import type { Present, Step } from "#cli/compose/plan.ts"

export interface Foreseen {
  readonly service: string
  /** Node's name to how many new tasks. */
  readonly nodes: Readonly<Record<string, number>>
  /** Why tasks would wait, in the scheduler's words. */
  readonly waiting?: { readonly tasks: number; readonly why: string }
}

/** `now` in milliseconds since the epoch. */
export function foresee(steps: ReadonlyArray<Step>, present: Present, now: number): ReadonlyArray<Foreseen> {
  const tables = new LedgerTables()
  const meta = { Version: { Index: 1 }, CreatedAt: toIso(now), UpdatedAt: toIso(now) }
  for (const node of present.nodes) tables.put("node", node)
  const touched = new Map(
    steps
      .filter(({ kind, action }) => kind === "service" && (action === "create" || action === "update"))
      .map((step) => [step.id ?? step.name, step])
  )
  for (const service of present.services) {
    const spec = (touched.get(service.ID)?.body as ServiceSpec | undefined) ?? service.Spec
    tables.put("service", { ...meta, ID: service.ID, SpecVersion: 1, Spec: spec } as Service)
  }
  for (const task of present.tasks) {
    // Tasks of a new template take the place of the old ones.
    const isReplaced = replaces(touched.get(task.ServiceID))
    if (tables.get("service", task.ServiceID) === undefined || isReplaced) continue
    tables.put("task", { ...task, SpecVersion: 1 })
  }
  const asked: Array<Foreseen & { readonly ids: ReadonlyArray<string> }> = []
  for (const [id, { name, body }] of touched) {
    const spec = body as ServiceSpec
    tables.put("service", { ...meta, ID: id, SpecVersion: 1, Spec: spec } as Service)
    const has = [...tables.tasksOfService(id)].filter(isWanted)
    const isGlobal = spec.Mode?.Global !== undefined || spec.Mode?.GlobalJob !== undefined
    const more = isGlobal
      ? present.nodes.filter(({ ID }) => !has.some(({ NodeID }) => NodeID === ID)).map(({ ID }) => ID)
      : Array.from({ length: Math.max(0, replicasOf(spec) - has.length) }, () => undefined)
    const ids = more.map((node, at) => {
      const task: Task = {
        ...meta,
        ID: `${id}.new.${at}`,
        ServiceID: id,
        SpecVersion: 1,
        DesiredState: "running",
        Status: { State: "pending", Timestamp: toIso(now) },
        ...(node === undefined ? { Slot: has.length + at + 1 } : { NodeID: node })
      }
      tables.put("task", task)
      return task.ID
    })
    asked.push({ service: name, nodes: {}, ids })
  }
  const placed = new Map(
    place(tables, { now, failures: new Failures(now) }).map((patch) => [patch.id, patch])
  )
  const names = new Map(present.nodes.map((node) => [node.ID, node.Description?.Hostname ?? node.ID]))
  return asked
    .filter(({ ids }) => ids.length > 0)
    .map(({ service, ids }) => {
      const nodes: Record<string, number> = {}
      let waiting: Foreseen["waiting"]
      for (const id of ids) {
        const patch = placed.get(id)
        if (patch?.Status?.State === "assigned" && patch.NodeID !== undefined) {
          const name = names.get(patch.NodeID) ?? patch.NodeID
          nodes[name] = (nodes[name] ?? 0) + 1
        } else waiting = { tasks: (waiting?.tasks ?? 0) + 1, why: patch?.Status?.Err ?? "no suitable node" }
      }
      return { service, nodes, ...(waiting === undefined ? {} : { waiting }) }
    })
}

/** Whether an update replaces running tasks, and does not only change how many there are. */
const replaces = (step: Step | undefined): boolean =>
  step?.differences.some(({ field }) => field.startsWith("TaskTemplate")) === true

const replicasOf = ({ Mode }: ServiceSpec): number =>
  Mode?.Replicated?.Replicas ?? Mode?.ReplicatedJob?.MaxConcurrent ?? 1

export const showForeseen = (all: ReadonlyArray<Foreseen>): string =>
  all
    .map(({ service, nodes, waiting }) => {
      const places = Object.entries(nodes).map(([name, tasks]) => `${tasks} on ${name}`)
      if (waiting !== undefined) places.push(`${waiting.tasks} would wait: ${waiting.why}`)
      return `  ${service}: ${places.join(", ")}`
    })
    .join("\n")
