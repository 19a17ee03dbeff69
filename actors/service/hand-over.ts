/**
 * Drained nodes: a task that runs there stays until another has taken its place, so that nobody misses it. Swarm ends it
 * first; so do we where two of it cannot run, where the node's label `troupe.drain` says `now`, and after a while.
 */
import { nodeDrainLabel } from "#actors/model/drain.ts"
import { isExclusive } from "#actors/model/exclusive.ts"
import type { Task } from "#actors/model/objects.ts"
import { isIngress } from "#actors/model/service-facts.ts"
import { endedItself, findsNoNode, isLive } from "#actors/model/task-state.ts"
import { leftOf, toMs } from "#actors/model/time.ts"
import { mayRestart, standing } from "#actors/service/retry.ts"
import { type Draft, newTask, nodeOf, type Slot, type View } from "#actors/service/slot.ts"

/** How long it waits for the one that takes its place. */
const handOverWithinMs = 60_000

/** What a task on a drained node needs now; false where it is replaced as any other that loses its place. */
export function handOver(view: View, slot: Slot, task: Task, draft: Draft): boolean {
  if (!staysMeanwhile(view, slot, task)) return false
  const next = slot.wanted.find((other) => standing(view, other) === "fine" && isLive(other.Status.State))
  if (next === undefined) {
    draft.fill(slot.key, newTask(view, slot.key, "running"))
    return true
  }
  const left = leftOf(handOverWithinMs, toMs(next.CreatedAt), view.now)
  // Where there is nowhere to go, the node is to be empty all the same.
  if (next.Status.State === "running" || findsNoNode(next) || left === 0) draft.want(task, "shutdown")
  else draft.wake(view.now + left)
  return true
}

function staysMeanwhile(view: View, slot: Slot, task: Task): boolean {
  const { service, ledger } = view
  if (task.Status.State !== "running" || standing(view, task) !== "drained") return false
  if (nodeOf(ledger, task)?.Spec.Labels?.[nodeDrainLabel] === "now" || isExclusive(service.Spec)) return false
  if ((service.Spec.EndpointSpec?.Ports ?? []).some((port) => !isIngress(port))) return false
  // One that was to take its place has failed: then as the policy says.
  const later = slot.tasks.slice(slot.tasks.indexOf(task) + 1)
  return !later.some(endedItself) && mayRestart(view, slot.tasks, task)
}
