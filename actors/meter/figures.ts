/** What is measured, of whom, and how a node says it: `troupe.metric.v1.<cluster>.node.<node id>`, once a second. */

/** Of each task: cores, bytes, bytes a second, processes with threads, and new connections a second. */
export const taskMetrics = [
  "cpu",
  "memory",
  "netRx",
  "netTx",
  "blockRead",
  "blockWrite",
  "pids",
  "connections"
] as const
/** Of a service the sums over its tasks, and how many those are. */
export const serviceMetrics = [...taskMetrics, "tasks"] as const
export const nodeMetrics = [...taskMetrics, "cores", "memoryTotal", "load", "diskFree", "diskTotal"] as const

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
}

export const metricSubject = (cluster: string, nodeId: string): string =>
  `troupe.metric.v1.${cluster}.node.${nodeId}`
