/**
 * Which node takes which task.
 *
 * Identical tasks are placed as a group, and groups that the same nodes suit share one tree of heaps. A node is asked
 * once per such kind of task, so the cost is nodes + tasks × log nodes, never their product.
 */
import type { TaskPatch } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { VolumeAttachment } from "#actors/model/objects.ts"
import type { GenericResource } from "#actors/model/spec.ts"
import { toIso } from "#actors/model/time.ts"
import type { Failures } from "#actors/scheduler/failures.ts"
import { explain, likeness, obstacle, rules, type Wanted, wanted } from "#actors/scheduler/filter.ts"
import { type Fixed, type Group, queue, type Waiting } from "#actors/scheduler/queue.ts"
import { type Room, type Rooms, rooms as roomsOf } from "#actors/scheduler/rooms.ts"
import { Spread } from "#actors/scheduler/spread.ts"
import { Walk } from "#actors/scheduler/walk.ts"
import { assert } from "#runtime/assert.ts"

export interface PlaceInput {
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly failures: Failures
  /** No more patches than this; without limit unless given. */
  readonly most?: number
}

/** A patch per task that found a node, and one per task whose reason for waiting is new. */
export function place(ledger: LedgerReader, input: PlaceInput): ReadonlyArray<TaskPatch> {
  const waiting = ledger.view(queue)
  if (waiting.size === 0) return []
  const turn = new Turn(ledger, input)
  // Tasks that belong to one node (global services) come first: they have nowhere else to go.
  for (const task of waiting.fixed.values()) if (!turn.isOver) turn.placeFixed(task)
  for (const group of waiting.groups.values()) {
    if (turn.isOver) break
    turn.placeGroup(group)
  }
  turn.giveBack()
  return turn.patches
}

interface Taken {
  readonly room: Room
  readonly serviceId: string
  readonly wants: Wanted
  readonly given: ReadonlyArray<GenericResource>
  readonly taskId: string
  readonly volumes: ReadonlyArray<VolumeAttachment>
}

class Turn {
  readonly patches: Array<TaskPatch> = []
  readonly #ledger: LedgerReader
  readonly #input: PlaceInput
  readonly #rooms: Rooms
  readonly #spreads = new Map<string, Spread>()
  readonly #taken: Array<Taken> = []
  readonly #timestamp: string

  constructor(ledger: LedgerReader, input: PlaceInput) {
    this.#ledger = ledger
    this.#input = input
    this.#rooms = ledger.view(roomsOf)
    this.#timestamp = toIso(input.now)
  }

  get isOver(): boolean {
    return this.patches.length >= (this.#input.most ?? Number.POSITIVE_INFINITY)
  }

  placeFixed(task: Fixed): void {
    const { serviceId, specVersion } = task
    const room = this.#rooms.of(task.nodeId)
    const wants = wanted(this.#ledger, serviceId, specVersion)
    const reason = room === undefined ? 0 : obstacle(room, wants)
    const own = room === undefined ? 0 : this.#rooms.wantedOn(room, serviceId)
    const isFull = wants.maxReplicas > 0 && own >= wants.maxReplicas
    if (room !== undefined && reason < 0 && !isFull) this.#assign(task, serviceId, wants, room, {}, own)
    else {
      const counts = rules.map((_, at) => (at === reason ? 1 : 0))
      this.#wait(task, explain(counts, reason < 0 ? 1 : 0))
    }
  }

  placeGroup({ serviceId, specVersion, tasks }: Group): void {
    const wants = wanted(this.#ledger, serviceId, specVersion)
    const spread = this.#spreadFor(wants)
    const failures = this.#input.failures.of(this.#rooms, serviceId, specVersion, this.#input.now)
    const { maxReplicas } = wants
    const walk = new Walk(spread, this.#rooms, { serviceId, maxReplicas, failures })
    let reason: string | undefined
    let left = tasks.size
    for (const task of tasks.values()) {
      if (this.isOver) break
      left -= 1
      const ranked = reason === undefined ? walk.next() : undefined
      if (ranked === undefined) {
        reason ??= explain(spread.turnedAway, walk.full)
        this.#wait(task, reason)
        continue
      }
      this.#assign(task, serviceId, wants, ranked.room, spread.losers(walk.full), ranked.own)
      if (left > 0) walk.took(ranked)
    }
    walk.end()
  }

  /** What was taken is the ledger's to count, once it is written there. */
  giveBack(): void {
    for (const { room, serviceId, wants, given, taskId, volumes } of this.#taken) {
      this.#rooms.giveBack(room, serviceId, wants.demand, wants.hostPorts, given)
      wants.uses.giveBack(taskId, volumes)
    }
  }

  #spreadFor(wants: Wanted): Spread {
    const key = likeness(wants)
    const known = this.#spreads.get(key)
    if (known !== undefined) return known
    const spread = new Spread(this.#rooms, wants)
    this.#spreads.set(key, spread)
    return spread
  }

  #assign(
    { id, version }: Waiting,
    serviceId: string,
    wants: Wanted,
    room: Room,
    Rejected: Readonly<Record<string, string>>,
    own: number
  ): void {
    const Reason = { Node: room.node.ID, Rejected, Rank: `${own} tasks of this service, ${room.tasks} tasks` }
    const given = this.#rooms.take(room, serviceId, wants.demand, wants.hostPorts)
    const volumes = wants.volumeMounts.length === 0 ? [] : wants.uses.choose(room.node, wants.volumeMounts)
    assert(volumes !== undefined, "a node that suits has a volume for every mount")
    wants.uses.take(id, room.node.ID, volumes, wants.volumeMounts)
    this.#taken.push({ room, serviceId, wants, given, taskId: id, volumes })
    this.patches.push({
      id,
      version,
      NodeID: room.node.ID,
      Status: {
        Timestamp: this.#timestamp,
        State: "assigned",
        Message: "scheduler assigned task to node"
      },
      Reason,
      ...(given.length === 0 ? {} : { AssignedGenericResources: given }),
      ...(volumes.length === 0 ? {} : { Volumes: volumes })
    })
  }

  #wait({ id, version, told }: Waiting, text: string): void {
    if (told === text) return
    this.patches.push({
      id,
      version,
      Status: {
        Timestamp: this.#timestamp,
        State: "pending",
        Message: "pending task scheduling",
        Err: text
      }
    })
  }
}
