/**
 * Placement preferences: a tree of label values whose leaves are heaps of nodes.
 *
 * A task goes to the branch with fewest tasks of its service at every level, then to the node that ranks first;
 * nodes without the label form a branch of their own, and a branch without room overflows into the others.
 */
import type { Node } from "#actors/model/objects.ts"
import type { Wanted } from "#actors/scheduler/filter.ts"
import type { Room } from "#actors/scheduler/room.ts"

export interface Branch {
  readonly serviceId: string
  /** Tasks of the service below here. */
  tasks: number
  readonly below: ReadonlyArray<Branch>
  /** In a leaf: a binary heap, best node at the top. */
  readonly heap: Array<Ranked>
  /** How many nodes are still in the heaps below. */
  nodes: number
}

interface Ranked {
  readonly room: Room
  readonly lastResort: boolean
  /** Ties go to the node that was listed first, so that equal inputs place equally. */
  readonly order: number
}

/** Builds the tree for one group of identical tasks over the nodes that can take one. */
export function branchesOf(
  rooms: ReadonlyArray<Room>,
  wants: Wanted,
  isLastResort: (room: Room) => boolean
): Branch {
  const descriptors = (wants.spec.Placement?.Preferences ?? []).flatMap(
    (preference) => preference.Spread?.SpreadDescriptor ?? []
  )
  const ranked = rooms.map((room, order) => ({ room, lastResort: isLastResort(room), order }))
  return grow(ranked, descriptors, wants.serviceId)
}

function grow(ranked: ReadonlyArray<Ranked>, descriptors: ReadonlyArray<string>, serviceId: string): Branch {
  const tasks = ranked.reduce((sum, { room }) => sum + (room.byService.get(serviceId) ?? 0), 0)
  const [descriptor, ...rest] = descriptors
  if (descriptor === undefined) {
    const heap = [...ranked]
    for (let at = (heap.length >> 1) - 1; at >= 0; at--) sink(heap, at, serviceId)
    return { serviceId, tasks, below: [], heap, nodes: heap.length }
  }
  const values = new Map<string, Array<Ranked>>()
  for (const candidate of ranked) {
    const value = labelOf(candidate.room.node, descriptor)
    const same = values.get(value)
    if (same === undefined) values.set(value, [candidate])
    else same.push(candidate)
  }
  const below = [...values.values()].map((same) => grow(same, rest, serviceId))
  return { serviceId, tasks, below, heap: [], nodes: ranked.length }
}

function labelOf(node: Node, descriptor: string): string {
  const [nodes, engines] = ["node.labels.", "engine.labels."]
  if (descriptor.startsWith(nodes)) return node.Spec.Labels?.[descriptor.slice(nodes.length)] ?? ""
  if (descriptor.startsWith(engines)) {
    return node.Description?.Engine.Labels?.[descriptor.slice(engines.length)] ?? ""
  }
  return ""
}

/** The node that should take the next task, or `undefined` when none is left. */
export function next(tree: Branch): Room | undefined {
  return path(tree).at(-1)?.heap[0]?.room
}

/** From the root down the emptiest branches that still have a node, the first of equals, to a leaf. */
function path(tree: Branch): ReadonlyArray<Branch> {
  const steps = [tree]
  for (let branch = tree; branch.below.length > 0; ) {
    let best: Branch | undefined
    for (const candidate of branch.below) {
      if (candidate.nodes > 0 && (best === undefined || candidate.tasks < best.tasks)) best = candidate
    }
    if (best === undefined) return []
    steps.push(best)
    branch = best
  }
  return steps
}

/** Tells the tree that the node `next` named has taken a task, or that it cannot take any and `leaves`. */
export function settle(tree: Branch, room: Room, leaves?: "leaves"): void {
  const steps = path(tree)
  const leaf = steps.at(-1)
  if (leaf?.heap[0]?.room !== room) return
  for (const step of steps) {
    if (leaves === undefined) step.tasks += 1
    else step.nodes -= 1
  }
  if (leaves !== undefined) {
    const last = leaf.heap.pop()
    if (last === undefined || leaf.heap.length === 0) return
    leaf.heap[0] = last
  }
  sink(leaf.heap, 0, tree.serviceId)
}

function isBetter(a: Ranked, b: Ranked, serviceId: string): boolean {
  if (a.lastResort !== b.lastResort) return b.lastResort
  const ofA = a.room.byService.get(serviceId) ?? 0
  const ofB = b.room.byService.get(serviceId) ?? 0
  if (ofA !== ofB) return ofA < ofB
  if (a.room.tasks !== b.room.tasks) return a.room.tasks < b.room.tasks
  return a.order < b.order
}

function sink(heap: Array<Ranked>, from: number, serviceId: string): void {
  let at = from
  for (;;) {
    const [left, right] = [2 * at + 1, 2 * at + 2]
    let best = at
    for (const child of [left, right]) {
      const candidate = heap[child]
      const present = heap[best]
      if (candidate !== undefined && present !== undefined && isBetter(candidate, present, serviceId))
        best = child
    }
    if (best === at) return
    const [upper, lower] = [heap[at], heap[best]]
    if (upper === undefined || lower === undefined) return
    heap[at] = lower
    heap[best] = upper
    at = best
  }
}
