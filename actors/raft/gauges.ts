/** What a member measures about itself while it runs: for monitoring, and for warnings before it comes to more. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { Disk, Moment } from "#actors/raft/judge.ts"
import type { Leadership } from "#actors/raft/protocol.ts"
import { Histogram } from "#runtime/histogram.ts"

// Whoever is heard again so soon had not ended.
const falseWithinMs = 5_000

export class Gauges {
  /** From handing a write to the disk until it is durable. */
  readonly writes = new Histogram()
  /** By how much ticks came late: what else kept the process busy. */
  readonly lateness = new Histogram()
  /** Terms in which this member came to lead. */
  elections = 0
  /** Leaders that it came to know of, itself among them. */
  leaders = 0
  /** How often it was told that another member's process had ended… */
  hints = 0
  /** …and heard that member again within seconds. */
  falseHints = 0
  #known: string | undefined
  readonly #hinted = new Map<NodeId, number>()
  #slowestWriteMs = 0
  #latestTickMs = 0

  wrote(ms: number): void {
    this.writes.record(ms * 1_000)
    this.#slowestWriteMs = Math.max(this.#slowestWriteMs, ms)
  }

  ticked(lateMs: number): void {
    const late = Math.max(0, lateMs)
    this.lateness.record(late * 1_000)
    this.#latestTickMs = Math.max(this.#latestTickMs, late)
  }

  followed(leadership: Leadership): void {
    const leader = leadership._tag === "Leading" ? "itself" : leadership.leader
    if (leadership._tag === "Leading") this.elections++
    if (leader === undefined) return
    const name = `${leadership.term} ${leader}`
    if (name !== this.#known) this.leaders++
    this.#known = name
  }

  hinted(node: NodeId, nowMs: number): void {
    this.hints++
    this.#hinted.set(node, nowMs)
  }

  heard(node: NodeId, nowMs: number): void {
    if (this.#hinted.size === 0) return
    const at = this.#hinted.get(node)
    if (at === undefined) return
    this.#hinted.delete(node)
    if (nowMs - at < falseWithinMs) this.falseHints++
  }

  /** The worst since this was last asked. */
  take(clockMs: number, monotonicMs: number, disk: Disk): Moment {
    const moment = {
      slowestWriteMs: this.#slowestWriteMs,
      latestTickMs: this.#latestTickMs,
      clockMs,
      monotonicMs,
      disk
    }
    this.#slowestWriteMs = 0
    this.#latestTickMs = 0
    return moment
  }
}
