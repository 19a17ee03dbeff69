/** Where tasks failed lately: too often, and the node comes last for that version of their service. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { toMs } from "#actors/model/time.ts"
import type { Room, Rooms } from "#actors/scheduler/rooms.ts"

// Swarm's: five times in five minutes.
const enough = 5
const withinMs = 5 * 60_000

const keyOf = (serviceId: string, specVersion: number): string => `${serviceId}:${specVersion}`
const none: ReadonlyMap<Room, number> = new Map()

/** Belongs to one scheduler and changes in place. Times are milliseconds since the epoch. */
export class Failures {
  readonly #times = new Map<string, Map<string, ReadonlyArray<number>>>()
  #forgottenAt: number

  constructor(now: number) {
    this.#forgottenAt = now
  }

  /** What the ledger itself still knows of. */
  static of(ledger: LedgerReader, now: number): Failures {
    const failures = new Failures(now)
    for (const state of ["failed", "rejected"] as const) {
      for (const task of ledger.tasksInState(state)) {
        const at = toMs(task.UpdatedAt)
        if (task.NodeID === undefined || !(at > now - withinMs)) continue
        failures.add(task.ServiceID, task.SpecVersion, task.NodeID, at)
      }
    }
    return failures
  }

  add(serviceId: string, specVersion: number, nodeId: string, at: number): void {
    const key = keyOf(serviceId, specVersion)
    const nodes = this.#times.get(key) ?? new Map<string, ReadonlyArray<number>>()
    nodes.set(nodeId, [...(nodes.get(nodeId) ?? []), at])
    this.#times.set(key, nodes)
    this.#forget(at)
  }

  /** How often a version failed on nodes where it did so too often. */
  of(rooms: Rooms, serviceId: string, specVersion: number, now: number): ReadonlyMap<Room, number> {
    const nodes = this.#times.get(keyOf(serviceId, specVersion))
    if (nodes === undefined) return none
    const found = new Map<Room, number>()
    for (const [nodeId, times] of nodes) {
      const room = rooms.of(nodeId)
      const recent = times.filter((time) => time > now - withinMs).length
      if (room !== undefined && recent >= enough) found.set(room, recent)
    }
    return found
  }

  /** How many failures it remembers. */
  get size(): number {
    let count = 0
    for (const nodes of this.#times.values()) for (const times of nodes.values()) count += times.length
    return count
  }

  /** Lets go of what is too old to count, now and then. */
  #forget(now: number): void {
    if (now < this.#forgottenAt + withinMs) return
    this.#forgottenAt = now
    for (const [key, nodes] of this.#times) {
      for (const [nodeId, times] of nodes) {
        const recent = times.filter((time) => time > now - withinMs)
        if (recent.length === 0) nodes.delete(nodeId)
        else nodes.set(nodeId, recent)
      }
      if (nodes.size === 0) this.#times.delete(key)
    }
  }
}
