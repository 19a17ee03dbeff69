/** From what a node's HTTP entrance counted, twice, to what services and tasks were asked between. */
import type { EntranceCounts, TaskCounts } from "#actors/drivers/entrance.ts"
import { type EntranceFigures, latencyBuckets, type Row, requestColumns } from "#actors/meter/figures.ts"
import { addUp } from "#actors/meter/requests.ts"

export interface Asked {
  /** Requests a second that came. */
  readonly rps: number
  /** Those under way, or waiting for a task. */
  readonly inflight: number
  /** Answers a second, of 1xx to 5xx. */
  readonly statuses: ReadonlyArray<number>
  /** Answers a second by how long they took, in the buckets of `latencyBounds`. */
  readonly took: ReadonlyArray<number>
}

export interface Requests {
  readonly services: ReadonlyMap<string, Asked>
  /** Those that had any. */
  readonly tasks: ReadonlyMap<string, Asked>
}

interface Counted {
  readonly at: number
  readonly counts: EntranceCounts
}

/** Of services in `wanted`, and their tasks. */
export function requestsSince(
  wanted: ReadonlySet<string>,
  now: Counted,
  before: Counted
): Requests | undefined {
  const seconds = (now.at - before.at) / 1_000
  if (seconds <= 0) return undefined
  const rate = (counted: number, earlier: number): number => since(counted, earlier) / seconds
  const tasks = new Map<string, Asked>()
  const answers = new Map<string, Pick<Asked, "statuses" | "took">>()
  for (const [id, task] of now.counts.tasks) {
    if (!wanted.has(task.serviceId)) continue
    const earlier = before.counts.tasks.get(id) ?? nothing
    const statuses = task.statuses.map((count, at) => rate(count, earlier.statuses[at] ?? 0))
    const took = task.took.map((count, at) => rate(count, earlier.took[at] ?? 0))
    const rps = rate(task.asked, earlier.asked)
    const { inflight } = task
    if (rps + inflight + total(statuses) > 0) tasks.set(id, { rps, inflight, statuses, took })
    const sum = answers.get(task.serviceId) ?? noAnswers
    answers.set(task.serviceId, {
      statuses: addUp([sum.statuses, statuses]),
      took: addUp([sum.took, took])
    })
  }
  const services = new Map<string, Asked>()
  for (const [id, { asked, inflight }] of now.counts.services) {
    // One that it leads to since then says nothing of a second.
    const earlier = before.counts.services.get(id)
    if (!wanted.has(id) || earlier === undefined) continue
    services.set(id, { rps: rate(asked, earlier.asked), inflight, ...(answers.get(id) ?? noAnswers) })
  }
  return { services, tasks }
}

export const figuresOf = ({ services, tasks }: Requests): EntranceFigures => ({
  columns: requestColumns,
  services: rows(services),
  tasks: rows(tasks)
})

const rows = (asked: ReadonlyMap<string, Asked>): Readonly<Record<string, Row>> =>
  Object.fromEntries(
    [...asked].map(([id, { rps, inflight, statuses, took }]) => [
      id,
      [rps, inflight, ...statuses, ...took].map((value) => Math.round(value * 1_000) / 1_000)
    ])
  )

/** What was counted anew, since it began again, is all there is. */
const since = (now: number, before: number): number => (now < before ? now : now - before)
const total = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0)

const noAnswers = { statuses: [0, 0, 0, 0, 0], took: latencyBuckets.map(() => 0) }
const nothing: TaskCounts = { serviceId: "", asked: 0, inflight: 0, ...noAnswers }
