/**
 * Which node takes which task.
 *
 * Identical tasks are placed as a group: every node is asked once whether it can take one, those that can go
 * into a heap, and each task goes to the top of it. The cost is nodes + tasks × log nodes, never their product.
 */
import type { TaskPatch } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Task } from "#actors/model/objects.ts"
import { toIso } from "#actors/model/time.ts"
import { explain, obstacle, rules, type Wanted, wanted } from "#actors/scheduler/filter.ts"
import { demandOf, occupy, type Room, roomOf } from "#actors/scheduler/room.ts"
import { type Branch, branchesOf, next, settle } from "#actors/scheduler/spread.ts"

/** Times (milliseconds since the epoch) at which tasks of `service:spec version:node` failed. */
export type RecentFailures = ReadonlyMap<string, ReadonlyArray<number>>

export const failureKey = (serviceId: string, specVersion: number, nodeId: string): string =>
  `${serviceId}:${specVersion}:${nodeId}`

/** Swarm's: a node where this version failed five times in five minutes comes last. */
const failuresThatCount = 5
const failuresWithinMs = 5 * 60_000

export interface PlaceInput {
  readonly pending: ReadonlyArray<Task>
  readonly now: number
  readonly failures: RecentFailures
}

/** A patch per task that found a node, and one per task whose reason for waiting is new. */
export function place(ledger: LedgerReader, input: PlaceInput): ReadonlyArray<TaskPatch> {
  if (input.pending.length === 0) return []
  const roomsById = new Map<string, Room>()
  for (const node of ledger.all("node")) roomsById.set(node.ID, roomOf(ledger, node))
  const rooms = [...roomsById.values()]
  const patches: Array<TaskPatch> = []
  const { fixed, groups } = grouped(input.pending)
  // Tasks that belong to one node (global services) come first: they have nowhere else to go.
  for (const task of fixed) {
    const room = roomsById.get(task.NodeID ?? "")
    const wants = wantsOf(ledger, task)
    const reason = room === undefined ? 0 : obstacle(room, wants)
    if (room !== undefined && reason < 0) patches.push(assign(task, room, wants, input.now, []))
    else patches.push(...wait(task, countOne(reason), input.now))
  }
  for (const group of groups) patches.push(...placeGroup(ledger, group, rooms, input))
  return patches
}

function grouped(pending: ReadonlyArray<Task>): {
  readonly fixed: ReadonlyArray<Task>
  readonly groups: Iterable<ReadonlyArray<Task>>
} {
  const fixed: Array<Task> = []
  const groups = new Map<string, Array<Task>>()
  for (const task of pending) {
    if (task.NodeID !== undefined) {
      fixed.push(task)
      continue
    }
    const key = `${task.ServiceID}:${task.SpecVersion}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [task])
    else group.push(task)
  }
  return { fixed, groups: groups.values() }
}

function wantsOf(ledger: LedgerReader, task: Task): Wanted {
  const spec = ledger.taskSpec(task.ServiceID, task.SpecVersion) ?? {}
  const ports = ledger.get("service", task.ServiceID)?.Spec.EndpointSpec?.Ports ?? []
  return wanted(task.ServiceID, spec, demandOf(spec, ports))
}

function placeGroup(
  ledger: LedgerReader,
  group: ReadonlyArray<Task>,
  rooms: ReadonlyArray<Room>,
  input: PlaceInput
): ReadonlyArray<TaskPatch> {
  const [first] = group
  if (first === undefined) return []
  const wants = wantsOf(ledger, first)
  const turnedAway = rules.map(() => 0)
  const able: Array<Room> = []
  for (const room of rooms) {
    const reason = obstacle(room, wants)
    if (reason < 0) able.push(room)
    else turnedAway[reason] = (turnedAway[reason] ?? 0) + 1
  }
  const isLastResort = (room: Room): boolean => {
    const times = input.failures.get(failureKey(first.ServiceID, first.SpecVersion, room.node.ID)) ?? []
    return times.filter((time) => time > input.now - failuresWithinMs).length >= failuresThatCount
  }
  const tree = branchesOf(able, wants, isLastResort)
  const patches: Array<TaskPatch> = []
  for (const task of group) {
    const room = nextAble(tree, wants, turnedAway)
    if (room === undefined) {
      patches.push(...wait(task, turnedAway, input.now))
      continue
    }
    patches.push(assign(task, room, wants, input.now, turnedAway))
    settle(tree, room)
  }
  return patches
}

/** The best node that can still take one; those that cannot any more leave the tree and are counted. */
function nextAble(tree: Branch, wants: Wanted, turnedAway: Array<number>): Room | undefined {
  for (;;) {
    const room = next(tree)
    if (room === undefined) return undefined
    const reason = obstacle(room, wants)
    if (reason < 0) return room
    turnedAway[reason] = (turnedAway[reason] ?? 0) + 1
    settle(tree, room, "leaves")
  }
}

function assign(
  task: Task,
  room: Room,
  wants: Wanted,
  now: number,
  turnedAway: ReadonlyArray<number>
): TaskPatch {
  const ofService = room.byService.get(task.ServiceID) ?? 0
  const rank = `${ofService} tasks of this service, ${room.tasks} tasks`
  const given = occupy(room, task.ServiceID, wants.demand)
  const rejected: Record<string, string> = {}
  turnedAway.forEach((nodes, rule) => {
    const turning = rules[rule]
    if (nodes > 0 && turning !== undefined) rejected[turning.name] = turning.explain(nodes)
  })
  return {
    id: task.ID,
    version: task.Version.Index,
    NodeID: room.node.ID,
    Status: { Timestamp: toIso(now), State: "assigned", Message: "scheduler assigned task to node" },
    Reason: { Node: room.node.ID, Rejected: rejected, Rank: rank },
    ...(given.length === 0 ? {} : { AssignedGenericResources: given })
  }
}

const countOne = (rule: number): ReadonlyArray<number> => rules.map((_, at) => (at === rule ? 1 : 0))

function wait(task: Task, turnedAway: ReadonlyArray<number>, now: number): ReadonlyArray<TaskPatch> {
  const text = explain(turnedAway)
  if (task.Status.Err === text) return []
  const status = {
    ...task.Status,
    Timestamp: toIso(now),
    State: "pending" as const,
    Message: "pending task scheduling",
    Err: text
  }
  return [{ id: task.ID, version: task.Version.Index, Status: status }]
}
