/** Replicated services: slots 1 to N each hold a task; what is missing is added, what is too much goes. */
import { replicasOf } from "#actors/model/service-facts.ts"
import { isRollingBack } from "#actors/model/update-status.ts"
import { dirtyTest, placeTest } from "#actors/service/dirty.ts"
import { handOver } from "#actors/service/hand-over.ts"
import { judge, plan } from "#actors/service/plan.ts"
import { filler, mayRestart, tend } from "#actors/service/retry.ts"
import { Draft, room, type Slot, type SlotKey, slotsOf, type View } from "#actors/service/slot.ts"

/**
 * A slot counts while it has a task that is wanted, or when its last one ended and its policy leaves it at that.
 * During a rollback the latter does not hold: a rollback always brings the service back to its full number.
 */
export function isOccupied(view: View, slot: Slot): boolean {
  if (slot.wanted.length > 0) return true
  if (isRollingBack(view.service.UpdateStatus)) return false
  return !mayRestart(view, slot.tasks, slot.newest)
}

/**
 * The changes that bring the service's tasks to what it asks for.
 *
 * Scaling down takes slots that have no node yet first, then from the node that carries most of this service,
 * there those that do not run before those that do, and higher numbers before lower ones.
 */
export function reconcile(view: View): Draft {
  const draft = new Draft()
  const slots = slotsOf(view.ledger, view.service.ID)
  const occupied = slots.filter((slot) => isOccupied(view, slot))
  const specified = replicasOf(view.service.Spec)
  const kept = occupied.length > specified ? keep(occupied, specified) : occupied
  const dirty = dirtyTest(view)
  if (!judge(view, kept, draft, dirty)) return draft

  const keys = new Set<SlotKey>(kept.map((slot) => slot.key))
  const missing = lowestFree(keys, Math.min(specified - kept.length, room(kept)))
  const reused = new Set<SlotKey>(missing)
  for (const slot of slots) {
    if (keys.has(slot.key) || reused.has(slot.key)) continue
    for (const task of slot.tasks) draft.want(task, "remove")
  }
  const is = { dirty, fit: placeTest(view) }
  for (const slot of kept) {
    for (const task of slot.wanted) {
      const isKept = !is.dirty(task) && is.fit(task)
      if (!isKept || !handOver(view, slot, task, draft)) tend(view, slot, task, draft, is)
    }
  }
  plan(view, kept, draft, dirty)
  const known = new Map(slots.map((slot) => [slot.key, slot]))
  for (const key of missing) draft.fill(key, filler(view, key, known.get(key)))
  return draft
}

function lowestFree(taken: ReadonlySet<SlotKey>, count: number): ReadonlyArray<number> {
  const free: Array<number> = []
  for (let number = 1; free.length < count; number++) if (!taken.has(number)) free.push(number)
  return free
}

/** The `count` slots that survive a scale-down. */
function keep(slots: ReadonlyArray<Slot>, count: number): ReadonlyArray<Slot> {
  const runs = (slot: Slot): boolean => slot.wanted.some((task) => task.Status.State === "running")
  const numbered = [...slots].sort(
    (a, b) => Number(runs(b)) - Number(runs(a)) || Number(a.key) - Number(b.key)
  )
  const perNode = new Map<string, number>()
  const ranked = numbered.map((slot, position) => {
    const [only, ...others] = slot.wanted
    const node = only?.NodeID
    if (node === undefined || others.length > 0) {
      return { slot, position, rank: Number.POSITIVE_INFINITY }
    }
    const rank = (perNode.get(node) ?? 0) + 1
    perNode.set(node, rank)
    return { slot, position, rank }
  })
  ranked.sort((a, b) => (a.rank === b.rank ? a.position - b.position : a.rank - b.rank))
  return ranked
    .slice(0, count)
    .map(({ slot }) => slot)
    .sort((a, b) => Number(a.key) - Number(b.key))
}
