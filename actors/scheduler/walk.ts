/**
 * One service's tasks through the tree of nodes that suit them, always to the branch with fewest of them, then to the
 * node that ranks first: no recent failures, fewest tasks of the service, fewest tasks.
 *
 * Most nodes have none of the service's and rank by their tasks alone, in heaps that all services share. The walk keeps
 * for itself only those that have some, or where its tasks fail.
 */
import { Heap } from "#actors/scheduler/heap.ts"
import type { Room, Rooms } from "#actors/scheduler/rooms.ts"
import type { Branch, Spread } from "#actors/scheduler/spread.ts"

interface Ranked {
  readonly room: Room
  /** Recent failures where there are enough to count, else 0. */
  readonly failures: number
  /** Tasks of the service. */
  own: number
}

export interface Walker {
  readonly serviceId: string
  /** Tasks per node; 0 for no limit. */
  readonly maxReplicas: number
  /** How often the service failed where, as far as that counts. */
  readonly failures: ReadonlyMap<Room, number>
}

const ranksBefore = (a: Ranked, b: Ranked): boolean => {
  if (a.failures !== b.failures) return a.failures < b.failures
  if (a.own !== b.own) return a.own < b.own
  if (a.room.tasks !== b.room.tasks) return a.room.tasks < b.room.tasks
  return a.room.order < b.room.order
}

export class Walk {
  readonly #spread: Spread
  readonly #most: number
  // Made when there is something to put in them: most walks are over after one task.
  /** Nodes that rank by more than their tasks. */
  #special: Map<Room, Ranked> | undefined
  #heaps: Map<Branch, Heap<Ranked>> | undefined
  #tasks: Map<Branch, number> | undefined
  #exhausted: Set<Branch> | undefined
  /** Nodes that are out of their shared heap while the walk goes on. */
  readonly #out: Array<Room> = []
  /** Nodes that have as many of the service's tasks as it allows. */
  full = 0

  /** The spread may be other services' too, so what is only this one's is said beside it. */
  constructor(spread: Spread, rooms: Rooms, { serviceId, maxReplicas, failures }: Walker) {
    this.#spread = spread
    this.#most = maxReplicas === 0 ? Number.POSITIVE_INFINITY : maxReplicas
    for (const [room, { wanted }] of rooms.sharesOf(serviceId)) {
      if (wanted === 0) continue
      this.#countAt(spread.leafOf(room), wanted)
      this.#admit({ room, failures: failures.get(room) ?? 0, own: wanted })
    }
    for (const [room, times] of failures) {
      if (this.#special?.has(room) !== true) this.#admit({ room, failures: times, own: 0 })
    }
  }

  /** The node for the next task, and how many of the service's it has so far. `took` must follow, unless it is the last. */
  next(): Ranked | undefined {
    for (;;) {
      const leaf = this.#emptiest()
      if (leaf === undefined) return undefined
      const found = this.#unmarked(leaf) ?? this.#marked(leaf)
      if (found !== undefined) return found
      this.#exhaust(leaf)
    }
  }

  /** The node that `next` named has one more task: of the service, and of all. */
  took(ranked: Ranked): void {
    const leaf = this.#spread.leafOf(ranked.room)
    this.#countAt(leaf, 1)
    ranked.own += 1
    const heap = leaf === undefined ? undefined : this.#heaps?.get(leaf)
    if (heap?.top === ranked) heap.settleTop()
    else this.#admit(ranked)
  }

  /** Gives the shared heaps back what the walk took out of them. */
  end(): void {
    for (const room of this.#out) this.#spread.putBack(room)
  }

  /** From the root down the branches with fewest tasks that are not exhausted, the first of equals, to a leaf. */
  #emptiest(): Branch | undefined {
    let branch = this.#spread.root
    if (this.#exhausted?.has(branch)) return undefined
    while (branch.below.length > 0) {
      let best: Branch | undefined
      let fewest = Number.POSITIVE_INFINITY
      for (const candidate of branch.below) {
        const tasks = this.#tasks?.get(candidate) ?? 0
        if (tasks >= fewest || this.#exhausted?.has(candidate)) continue
        best = candidate
        fewest = tasks
      }
      if (best === undefined) return undefined
      branch = best
    }
    return branch.heap === undefined ? undefined : branch
  }

  #exhaust(leaf: Branch): void {
    this.#exhausted ??= new Set()
    const exhausted = this.#exhausted.add(leaf)
    const { parent } = leaf
    if (parent?.below.every((branch) => exhausted.has(branch))) this.#exhaust(parent)
  }

  #unmarked(leaf: Branch): Ranked | undefined {
    for (;;) {
      const room = this.#spread.pop(leaf)
      if (room === undefined) return undefined
      this.#out.push(room)
      if (this.#special?.has(room) !== true) return { room, failures: 0, own: 0 }
    }
  }

  #marked(leaf: Branch): Ranked | undefined {
    const heap = this.#heaps?.get(leaf)
    for (let top = heap?.top; heap !== undefined && top !== undefined; top = heap.top) {
      if (this.#spread.suits(top.room)) {
        if (top.own < this.#most) return top
        this.full += 1
      }
      heap.pop()
    }
    return undefined
  }

  #admit(ranked: Ranked): void {
    this.#special ??= new Map()
    this.#special.set(ranked.room, ranked)
    const leaf = this.#spread.leafOf(ranked.room)
    if (leaf === undefined) return
    this.#heaps ??= new Map()
    const heap = this.#heaps.get(leaf) ?? new Heap(ranksBefore)
    this.#heaps.set(leaf, heap)
    heap.push(ranked)
  }

  #countAt(leaf: Branch | undefined, tasks: number): void {
    if (this.#spread.wants.spreadOver.length === 0) return
    this.#tasks ??= new Map()
    const counts = this.#tasks
    for (let branch = leaf; branch !== undefined; branch = branch.parent) {
      counts.set(branch, (counts.get(branch) ?? 0) + tasks)
    }
  }
}
