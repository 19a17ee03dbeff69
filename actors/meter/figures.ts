/** What is measured, of whom, and how a node says it: `troupe.metric.v1.<cluster>.node.<node id>`, once a second. */
import type { Endpoint } from "#actors/drivers/led.ts"

/** Of each task and node: cores, bytes, bytes a second, processes with threads, and new connections a second. */
export const usageMetrics = [
  "cpu",
  "memory",
  "netRx",
  "netTx",
  "blockRead",
  "blockWrite",
  "pids",
  "connections"
] as const
/**
 * What the HTTP entrances of all nodes see of a service and of each task: requests a second, those under way or waiting,
 * the milliseconds within which 95 of 100 were answered, and answers of 5xx a second.
 */
export const requestMetrics = ["rps", "inflight", "p95", "errors"] as const
export const taskMetrics = [...usageMetrics, ...requestMetrics] as const
/** Of a service the sums over its tasks, and how many those are. */
export const serviceMetrics = [...taskMetrics, "tasks"] as const
export const nodeMetrics = [...usageMetrics, "cores", "memoryTotal", "load", "diskFree", "diskTotal"] as const

export type Kind = "node" | "service" | "task"
export const metricsOf = {
  node: nodeMetrics,
  service: serviceMetrics,
  task: taskMetrics
} as const satisfies Record<Kind, ReadonlyArray<string>>

/** In the order of `metricsOf`; `null` is what is not known. */
export type Row = ReadonlyArray<number | null>

/**
 * One node's second. Tables rather than objects, so that a hundred tasks are some kilobytes; `columns` name what a row
 * holds, and more may follow in later versions.
 */
export interface NodeFigures {
  readonly at: number
  readonly columns: { readonly node: ReadonlyArray<string>; readonly task: ReadonlyArray<string> }
  readonly node: Row
  /** By task id. */
  readonly tasks: Readonly<Record<string, Row>>
  /** What the node's HTTP entrance sees; absent where it has none, or led no service's requests a second ago. */
  readonly entrance?: EntranceFigures
  /** What it led to tasks by published ports and virtual addresses; absent where nobody has asked for one yet. */
  readonly connections?: ConnectionFigures
}

/** Upper bounds, in milliseconds, of how long answers take; beyond the last one there is one more bucket. */
export const latencyBounds = [
  1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000,
  10_000
] as const
/** One for each bucket, in order: its bound; the last has none. */
export const latencyBuckets: ReadonlyArray<number | undefined> = [...latencyBounds, undefined]

/** Of requests: how many a second and how many at a time, answers a second by class, and by how long they took. */
export const requestColumns = [
  "rps",
  "inflight",
  ...["1xx", "2xx", "3xx", "4xx", "5xx"],
  ...latencyBuckets.map((bound) => `le${bound ?? "Inf"}`)
] as const

/** All services that it leads to are there; of their tasks, only those that had requests. */
export interface EntranceFigures {
  readonly columns: ReadonlyArray<string>
  readonly services: Readonly<Record<string, Row>>
  readonly tasks: Readonly<Record<string, Row>>
}

/**
 * Of a service's published port, and of its virtual addresses on a network: connections a second, and all of them since the
 * node's daemon began, or the endpoint did.
 */
export const portColumns = ["service", "mode", "protocol", "port", "connections", "total"] as const
export const vipColumns = ["service", "network", "connections", "total"] as const

interface Table {
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string | number>>
}

/** Those that were asked for at all; services and networks by id. */
export interface ConnectionFigures {
  readonly ports: Table
  readonly vips: Table
}

/** One row. */
export interface EndpointFigures {
  readonly endpoint: Endpoint
  readonly rate: number
  readonly total: number
}

export const metricSubject = (cluster: string, nodeId: string): string =>
  `troupe.metric.v1.${cluster}.node.${nodeId}`
