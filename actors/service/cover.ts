/** Global services: every node that suits has one task; what is on any other node goes. */
import type { Node } from "#actors/model/objects.ts"
import { isTerminal } from "#actors/model/task-state.ts"
import { dirtyTest, fitTest, placeTest } from "#actors/service/dirty.ts"
import { judge, plan } from "#actors/service/plan.ts"
import { isOccupied } from "#actors/service/reconcile.ts"
import { filler, tend } from "#actors/service/retry.ts"
import { Draft, type Slot, slotsOf, type View } from "#actors/service/slot.ts"

const mostAtOnce = 2_000

/** The changes that bring one task of the service to every node that is up, active and meets its constraints. */
export function cover(view: View): Draft {
  const draft = new Draft()
  const fits = fitTest(view)
  const slots = new Map<string, Slot>()
  for (const slot of slotsOf(view.ledger, view.service.ID)) slots.set(String(slot.key), slot)

  const kept: Array<Slot> = []
  const bare: Array<{ readonly node: Node; readonly slot: Slot | undefined }> = []
  for (const node of view.ledger.all("node")) {
    const slot = slots.get(node.ID)
    slots.delete(node.ID)
    const isOut = node.Status.State === "down" || node.Spec.Availability === "drain" || !fits(node)
    if (isOut) {
      for (const task of slot?.wanted ?? []) draft.want(task, "shutdown")
    } else if (node.Spec.Availability === "pause") {
      // A paused node keeps what runs and gets nothing new, not even in place of what failed.
      for (const task of slot?.wanted ?? []) if (isTerminal(task.Status.State)) draft.want(task, "shutdown")
    } else if (slot !== undefined && isOccupied(view, slot)) {
      kept.push(slot)
    } else if (node.Status.State === "ready") {
      bare.push({ node, slot })
    }
  }
  // Tasks of nodes that are no longer there.
  for (const slot of slots.values()) for (const task of slot.wanted) draft.want(task, "shutdown")

  const dirty = dirtyTest(view)
  const turn = new Draft()
  if (!judge(view, kept, turn, dirty)) return turn
  const is = { dirty, fit: placeTest(view) }
  for (const slot of kept) {
    for (const task of slot.wanted) if (!draft.touches(task)) tend(view, slot, task, draft, is)
  }
  plan(view, kept, draft, dirty)
  for (const { node, slot } of bare.slice(0, mostAtOnce)) draft.fill(node.ID, filler(view, node.ID, slot))
  return draft
}
