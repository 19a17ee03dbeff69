/**
 * What one service's autoscaler remembers. It belongs to that actor alone and changes in place: a figure per second and
 * target for as long as the window is, and of what was wanted only what can still hold the service up.
 */

import type { Scheduled } from "#actors/autoscaler/parse-schedule.ts"

export interface Measured {
  readonly at: number
  readonly value: number
}

export interface Memory {
  /** Nothing goes down before it has watched for as long as it has to look back. */
  readonly since: number
  /** By target, oldest first, none older than the window. */
  readonly figures: Map<string, Array<Measured>>
  /** What was wanted: each smaller than the one before it, because a later and larger one outlasts it. */
  readonly wanted: Array<{ readonly at: number; readonly replicas: number }>
  /** Until then nothing goes down. */
  panicUntil: number
  scheduled: Scheduled
}

/** Of a schedule that was not asked yet. */
export const unasked: Scheduled = { replicas: undefined, until: Number.NEGATIVE_INFINITY }

export const blank = (now: number): Memory => ({
  since: now,
  figures: new Map(),
  wanted: [],
  panicUntil: 0,
  scheduled: unasked
})
