/** Which tasks a node has no room for since it offers less than it did: the constraint enforcer's part of scheduling. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Task } from "#actors/model/objects.ts"
import { isWanted } from "#actors/model/task-state.ts"
import { demandOf } from "#actors/scheduler/demand.ts"
import { Generic } from "#actors/scheduler/generic.ts"
import { holds, type Room, rooms } from "#actors/scheduler/rooms.ts"

/**
 * True for tasks beyond what their node offers, the youngest first. Whoever asks about whatever tasks in whatever order
 * gets the same answer, also after some of them are gone.
 */
export function surplusTest(ledger: LedgerReader): (task: Task) => boolean {
  const known = new Map<string, ReadonlySet<string>>()
  const view = ledger.view(rooms)
  return (task) => {
    const room = view.of(task.NodeID ?? "")
    if (room === undefined || !isOverdrawn(room)) return false
    const surplus = known.get(room.node.ID) ?? surplusOf(ledger, room)
    known.set(room.node.ID, surplus)
    return surplus.has(task.ID)
  }
}

const isOverdrawn = (room: Room): boolean =>
  room.cpus < 0 || room.memory < 0 || room.generic?.isOverdrawn === true

const byBirth = (a: Task, b: Task): number =>
  a.CreatedAt === b.CreatedAt ? (a.ID < b.ID ? -1 : 1) : a.CreatedAt < b.CreatedAt ? -1 : 1

function surplusOf(ledger: LedgerReader, { node }: Room): ReadonlySet<string> {
  const offered = node.Description?.Resources
  let cpus = offered?.NanoCPUs ?? 0
  let memory = offered?.MemoryBytes ?? 0
  const generic = new Generic()
  generic.offer(offered?.GenericResources ?? [])
  const surplus = new Set<string>()
  // Those that are to go anyway are in nobody's way here.
  const tasks = [...ledger.tasksOfNode(node.ID)].filter((task) => holds(task) && isWanted(task))
  for (const task of tasks.sort(byBirth)) {
    const demand = demandOf(ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? {})
    const held = task.AssignedGenericResources ?? []
    if (demand.cpus > cpus || demand.memory > memory || !generic.offers(held)) {
      surplus.add(task.ID)
      continue
    }
    cpus -= demand.cpus
    memory -= demand.memory
    generic.count(held, 1)
  }
  return surplus
}
