/** What a service's labels ask of the autoscaler, read and complete. */

import type { ServiceSpec } from "#actors/model/spec.ts"

export const labelPrefix = "troupe.autoscale."

/** Before the subject in the name of such a target; other systems publish the figure at `loadSubject`. */
export const natsPrefix = "nats:"
export const loadSubject = (subject: string): string => `troupe.load.v1.${subject}`

/** Whether any of its labels speaks of scaling. */
export const asksForScaling = ({
  Labels: labels
}: {
  readonly Labels?: ServiceSpec["Labels"] | undefined
}): boolean => labels !== undefined && Object.keys(labels).some((label) => label.startsWith(labelPrefix))

/** Whether it may have no task at all, so that whoever asks begins the first. */
export const wakes = ({ Labels }: { readonly Labels?: ServiceSpec["Labels"] | undefined }): boolean =>
  Labels?.[`${labelPrefix}min`]?.trim() === "0"

/**
 * What is measured. `level` is one figure of the whole service that more tasks bring down; all others add up over its
 * tasks, and a goal is one task's share.
 */
export type Metric = "cpu" | "memory" | "connections" | "rps" | "inflight" | "p95" | "nats"

/** Whether the HTTP entrance is who measures it. */
export const countsRequests = (metric: Metric): boolean =>
  metric === "rps" || metric === "inflight" || metric === "p95"

export interface Target {
  /** As in the label, without the prefix: `cpu`, `nats:orders.waiting`. */
  readonly name: string
  readonly metric: Metric
  /** One task's share: cores, bytes, or a number; of `p95` the milliseconds of the whole service. */
  readonly goal: number
}

/** From each time that `pattern` names, the service has at least `replicas`, until another line's time comes. */
export interface ScheduleLine {
  readonly pattern: string
  readonly timeZone: string
  readonly replicas: number
}

export interface Policy {
  readonly min: number
  readonly max: number
  readonly targets: ReadonlyArray<Target>
  readonly schedule: ReadonlyArray<ScheduleLine>
  /** How far off its goal a figure may be before anything is done; 0.1 is a tenth. */
  readonly tolerance: number
  /** What goes up at once is measured over this time, everything else over `windowMs`. */
  readonly panicMs: number
  readonly windowMs: number
  /** Nothing goes down below what was wanted at any moment of this time. */
  readonly stabiliseMs: number
}
