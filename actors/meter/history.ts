/**
 * What was measured in the last quarter of an hour by seconds and in the last day by minutes, of nodes, services and
 * tasks, in this manager's memory alone. It changes in place; who tells it the time has a clock.
 */
import {
  type EndpointFigures,
  type Kind,
  metricsOf,
  nodeMetrics,
  requestColumns,
  requestMetrics,
  serviceMetrics,
  taskMetrics,
  usageMetrics
} from "#actors/meter/figures.ts"
import type { ReadFigures } from "#actors/meter/parse-figures.ts"
import { sumRequests } from "#actors/meter/requests.ts"
import { Ring } from "#actors/meter/ring.ts"

const secondMs = 1_000
const minuteMs = 60_000
const keptSeconds = 15 * 60
const keptMinutes = 24 * 60
/** What was said longer ago says nothing of now. */
export const freshMs = 5_000
/** After a task has ended, what it used is kept for as long; of nodes and services for as long as minutes are. */
const taskAfterMs = 60 * 60_000
/**
 * A task takes 112 kB once it has run for a day. Of more tasks than these only the latest figures are kept, until one that
 * has ended makes room.
 */
const mostTasks = 600

/** Where a task is from, which figures alone do not say. */
export interface Whose {
  readonly serviceId: string
  readonly nodeId: string
}

export interface Latest {
  readonly at: number
  /** In the order of `metricsOf`. */
  readonly row: ReadonlyArray<number>
}

class Series {
  /** Absent where there was no room. */
  readonly rings: { readonly seconds: Ring; readonly minutes: Ring } | undefined
  latest: Latest
  readonly #sums: Float64Array
  readonly #counts: Uint16Array
  #minute = 0

  constructor(width: number, at: number, kept: boolean) {
    this.rings = kept
      ? {
          seconds: new Ring(secondMs, keptSeconds, width),
          minutes: new Ring(minuteMs, keptMinutes, width)
        }
      : undefined
    this.#sums = new Float64Array(width)
    this.#counts = new Uint16Array(width)
    this.latest = { at, row: [] }
  }

  put(at: number, row: ReadonlyArray<number>): void {
    this.latest = { at, row }
    if (this.rings === undefined) return
    this.rings.seconds.put(at, row)
    const minute = Math.floor(at / minuteMs)
    if (minute !== this.#minute) {
      this.#sums.fill(0)
      this.#counts.fill(0)
      this.#minute = minute
    }
    for (let column = 0; column < this.#sums.length; column++) {
      const value = row[column]
      if (value === undefined || Number.isNaN(value)) continue
      this.#sums[column] = (this.#sums[column] ?? 0) + value
      this.#counts[column] = (this.#counts[column] ?? 0) + 1
    }
    // The minute that is under way shows what is known of it.
    this.rings.minutes.put(
      at,
      [...this.#sums].map((sum, column) => {
        const count = this.#counts[column] ?? 0
        return count === 0 ? Number.NaN : sum / count
      })
    )
  }
}

type Entrance = NonNullable<ReadFigures["entrance"]>
interface Connections {
  readonly at: number
  readonly said: ReadonlyArray<EndpointFigures>
}
const noRequests: ReadonlyArray<number> = requestColumns.map(() => 0)

export interface Asked {
  readonly kind: Kind
  readonly id: string
  readonly metrics: ReadonlyArray<string>
  readonly since: number
  readonly now: number
}

export interface Course {
  readonly stepMs: number
  readonly times: ReadonlyArray<number>
  readonly values: ReadonlyArray<ReadonlyArray<number>>
}

export class History {
  readonly #series: Readonly<Record<Kind, Map<string, Series>>> = {
    node: new Map(),
    service: new Map(),
    task: new Map()
  }
  readonly #whose = new Map<string, Whose>()
  /** By node, what its HTTP entrance said last. */
  readonly #entrances = new Map<string, { readonly at: number; readonly said: Entrance }>()
  /** By node, what it led to tasks, as it said last. */
  readonly #connections = new Map<string, Connections>()
  /** By node, how far its clock was ahead of this machine's. */
  readonly #clocks = new Map<string, { readonly at: number; readonly aheadMs: number }>()
  #keptTasks = 0

  /** What a node said of its last second; `whose` knows that node's tasks, and nothing of any other's. */
  take(
    nodeId: string,
    { node, tasks, entrance, connections = [] }: ReadFigures,
    now: number,
    whose: (taskId: string) => Whose | undefined
  ): void {
    if (entrance !== undefined) this.#entrances.set(nodeId, { at: now, said: entrance })
    this.#connections.set(nodeId, { at: now, said: connections })
    this.#of("node", nodeId, nodeMetrics.length, now).put(now, node)
    for (const [id, row] of tasks) {
      const from = whose(id)
      if (from === undefined) continue
      this.#whose.set(id, from)
      const requests = this.#requests(({ services, tasks }) =>
        services.has(from.serviceId) ? (tasks.get(id) ?? noRequests) : undefined
      )
      this.#of("task", id, taskMetrics.length, now).put(now, [...row, ...requests])
    }
  }

  /** What all entrances that were heard of lately saw of something: one is asked nowhere, or not at all. */
  #requests(of: (said: Entrance) => ReadonlyArray<number> | undefined): ReadonlyArray<number> {
    return sumRequests([...this.#entrances.values()].flatMap(({ said }) => [of(said) ?? []]))
  }

  /** Once a second: each service's sums over the tasks that were heard of lately. */
  gather(now: number): void {
    for (const said of [this.#entrances, this.#connections, this.#clocks])
      for (const [node, { at }] of said) if (at < now - freshMs) said.delete(node)
    const sums = new Map<string, Array<number>>()
    for (const [id, { latest }] of this.#series.task) {
      const from = this.#whose.get(id)
      if (from === undefined || latest.at < now - freshMs) continue
      const sum = sums.get(from.serviceId) ?? serviceMetrics.map(() => Number.NaN)
      sums.set(from.serviceId, sum)
      usageMetrics.forEach((_, column) => void add(sum, column, latest.row[column] ?? Number.NaN))
      add(sum, taskMetrics.length, 1)
    }
    for (const id of this.#entered()) {
      if (!sums.has(id)) sums.set(id, [...taskMetrics.map(() => Number.NaN), 0])
    }
    for (const [id, sum] of sums) {
      const requests = this.#requests(({ services }) => services.get(id))
      requestMetrics.forEach((_, at) => void add(sum, usageMetrics.length + at, requests[at] ?? Number.NaN))
    }
    for (const [id, sum] of sums) this.#of("service", id, serviceMetrics.length, now).put(now, sum)
  }

  /** Services that entrances lead to. */
  #entered(): ReadonlySet<string> {
    return new Set([...this.#entrances.values()].flatMap(({ said }) => [...said.services.keys()]))
  }

  /** Forgets what nobody has heard of for long. */
  forget(now: number): void {
    for (const [kind, kept] of [
      ["task", taskAfterMs],
      ["service", keptMinutes * minuteMs],
      ["node", keptMinutes * minuteMs]
    ] as const) {
      for (const [id, { latest }] of this.#series[kind]) {
        if (latest.at >= now - kept) continue
        if (kind === "task") this.#drop(id)
        else this.#series[kind].delete(id)
      }
    }
  }

  /** By seconds as far back as they are kept, by minutes before; nothing where none of it was heard of. */
  course({ kind, id, metrics, since, now }: Asked): Course | undefined {
    const rings = this.#series[kind].get(id)?.rings
    if (rings === undefined) return undefined
    const ring = since >= now - keptSeconds * secondMs ? rings.seconds : rings.minutes
    const columns = metrics.map((name) => (metricsOf[kind] as ReadonlyArray<string>).indexOf(name))
    return { stepMs: ring.stepMs, ...ring.since(since, columns) }
  }

  /** By id, what was said last, of those who were heard of lately. */
  latest(kind: Kind, now: number): ReadonlyMap<string, Latest> {
    const found = new Map<string, Latest>()
    for (const [id, { latest }] of this.#series[kind])
      if (latest.at >= now - freshMs && latest.row.length > 0) found.set(id, latest)
    return found
  }

  /** How far the clock of a node was ahead, as it was last heard of at `now`. */
  compareClock(nodeId: string, aheadMs: number, now: number): void {
    this.#clocks.set(nodeId, { at: now, aheadMs })
  }

  /** Of those that were heard of lately. */
  clocks(now: number): ReadonlyArray<{ readonly nodeId: string; readonly aheadMs: number }> {
    return [...this.#clocks].flatMap(([nodeId, { at, aheadMs }]) =>
      at < now - freshMs ? [] : [{ nodeId, aheadMs }]
    )
  }

  /** By node, what those who were heard of lately have led to services' tasks. */
  connections(now: number): ReadonlyArray<readonly [nodeId: string, EndpointFigures]> {
    return [...this.#connections].flatMap(([nodeId, { at, said }]) =>
      at < now - freshMs ? [] : said.map((figures) => [nodeId, figures] as const)
    )
  }

  whose(taskId: string): Whose | undefined {
    return this.#whose.get(taskId)
  }

  /** Of all that is kept. */
  get bytes(): number {
    let bytes = 0
    for (const series of Object.values(this.#series))
      for (const { rings } of series.values())
        bytes += rings === undefined ? 0 : rings.seconds.bytes + rings.minutes.bytes
    return bytes
  }

  #of(kind: Kind, id: string, width: number, now: number): Series {
    const known = this.#series[kind].get(id)
    if (known !== undefined) return known
    const kept = kind !== "task" || this.#hasRoom(now)
    const fresh = new Series(width, now, kept)
    this.#series[kind].set(id, fresh)
    if (kept && kind === "task") this.#keptTasks += 1
    return fresh
  }

  /** The one that has been silent the longest makes room; one that is still heard of does not. */
  #hasRoom(now: number): boolean {
    if (this.#keptTasks < mostTasks) return true
    let oldest: string | undefined
    let at = now - freshMs
    for (const [id, { latest, rings }] of this.#series.task) {
      if (latest.at >= at || rings === undefined) continue
      oldest = id
      at = latest.at
    }
    if (oldest === undefined) return false
    this.#drop(oldest)
    return true
  }

  #drop(task: string): void {
    if (this.#series.task.get(task)?.rings !== undefined) this.#keptTasks -= 1
    this.#series.task.delete(task)
    this.#whose.delete(task)
  }
}

/** What is known of some counts as the sum of these. */
function add(sum: Array<number>, column: number, value: number): void {
  if (Number.isNaN(value)) return
  const before = sum[column] ?? Number.NaN
  sum[column] = Number.isNaN(before) ? value : before + value
}
