/**
 * Nodes that suit a kind of task, as a tree of label values (placement preferences) whose leaves are heaps.
 *
 * Within one turn nodes only fill up. So a heap may lag behind: its top is brought up to date when it is looked at, and
 * is then the least of all. One tree serves every service whose tasks the same nodes suit, however many there are.
 */
import type { Node } from "#actors/model/objects.ts"
import { obstacle, rules, sayings, type Wanted } from "#actors/scheduler/filter.ts"
import { NumberHeap } from "#actors/scheduler/heap.ts"
import type { Room, Rooms } from "#actors/scheduler/rooms.ts"
import { assert } from "#runtime/assert.ts"

export interface Branch {
  readonly below: ReadonlyArray<Branch>
  readonly parent: Branch | undefined
  /** In a leaf: keys of its nodes, by how many tasks they have. */
  heap: NumberHeap | undefined
}

/** Made again only when there are more of them. */
interface Losers {
  readonly count: number
  readonly said: Readonly<Record<string, string>>
}

/** A key holds a node's tasks and its place in the order of nodes: numbers of whole 2^53 keep both apart. */
const mostNodes = 2 ** 22
const keyOf = (room: Room): number => room.tasks * mostNodes + room.order

export class Spread {
  readonly wants: Wanted
  readonly root: Branch
  /** How many nodes each rule has turned away. */
  readonly turnedAway: Array<number> = rules.map(() => 0)
  readonly #rooms: Rooms
  readonly #leafOf: Array<Branch | undefined> = []
  /** By order: it takes no more of these tasks, and is counted. */
  readonly #isOut: Uint8Array
  #out = 0
  #losers: Losers = { count: -1, said: {} }

  constructor(rooms: Rooms, wants: Wanted) {
    assert(rooms.byOrder.length < mostNodes, "a key has room for every node")
    this.wants = wants
    this.#rooms = rooms
    this.#isOut = new Uint8Array(rooms.byOrder.length)
    // Branches that have no node for these tasks count as well: their tasks are where they are.
    this.root = this.#grow(rooms.byOrder, 0, undefined)
  }

  /** What the rules have said so far of the nodes that lost, `full` of them for what is the service's alone. */
  losers(full: number): Readonly<Record<string, string>> {
    const count = this.#out + full
    if (count !== this.#losers.count) {
      const said = sayings(this.turnedAway, full).map(({ rule, text }) => [rule, text])
      this.#losers = { count, said: Object.fromEntries(said) }
    }
    return this.#losers.said
  }

  leafOf(room: Room): Branch | undefined {
    return this.wants.spreadOver.length === 0 ? this.root : this.#leafOf[room.order]
  }

  /** Whether a node still takes one. What does not is counted once, and not asked again. */
  suits(room: Room): boolean {
    if (this.#isOut[room.order] === 1) return false
    const reason = obstacle(room, this.wants)
    if (reason < 0) return true
    this.#isOut[room.order] = 1
    this.#out += 1
    this.turnedAway[reason] = (this.turnedAway[reason] ?? 0) + 1
    return false
  }

  /** The node of a leaf with fewest tasks. It leaves the heap until it is put back. */
  pop({ heap }: Branch): Room | undefined {
    for (;;) {
      const top = heap?.top
      if (heap === undefined || top === undefined) return undefined
      const room = this.#rooms.byOrder[top % mostNodes]
      if (room === undefined || !this.suits(room)) heap.pop()
      else if (keyOf(room) !== top) heap.replaceTop(keyOf(room))
      else {
        heap.pop()
        return room
      }
    }
  }

  putBack(room: Room): void {
    this.leafOf(room)?.heap?.push(keyOf(room))
  }

  #grow(rooms: ReadonlyArray<Room | undefined>, level: number, parent: Branch | undefined): Branch {
    const descriptor = this.wants.spreadOver[level]
    const below: Array<Branch> = []
    const branch: Branch = { below, parent, heap: undefined }
    if (descriptor === undefined) {
      branch.heap = this.#heapOf(rooms, level === 0 ? undefined : branch)
      return branch
    }
    const read = labelReader(descriptor)
    const values = new Map<string, Array<Room>>()
    for (const room of rooms) {
      if (room === undefined) continue
      const value = read(room.node)
      const same = values.get(value)
      if (same === undefined) values.set(value, [room])
      else same.push(room)
    }
    for (const same of values.values()) below.push(this.#grow(same, level + 1, branch))
    return branch
  }

  #heapOf(rooms: ReadonlyArray<Room | undefined>, leaf: Branch | undefined): NumberHeap {
    const keys = new Float64Array(rooms.length)
    let count = 0
    for (const room of rooms) {
      if (room === undefined) continue
      if (leaf !== undefined) this.#leafOf[room.order] = leaf
      if (this.suits(room)) keys[count++] = keyOf(room)
    }
    return new NumberHeap(keys.subarray(0, count))
  }
}

/** Nodes without the label, and all of them where a descriptor names none, have the empty value. */
function labelReader(descriptor: string): (node: Node) => string {
  const after = (prefix: string): string | undefined =>
    descriptor.toLowerCase().startsWith(prefix) ? descriptor.slice(prefix.length) : undefined
  const ofNode = after("node.labels.")
  if (ofNode !== undefined) return (node) => node.Spec.Labels?.[ofNode] ?? ""
  const ofEngine = after("engine.labels.")
  if (ofEngine !== undefined) return (node) => node.Description?.Engine.Labels?.[ofEngine] ?? ""
  return () => ""
}
