/**
 * How long a task that nobody sends new connections to any more is left alone with those that it has taken, before it is
 * told to stop: until it owes none of them an answer, and no longer than a label of its service says.
 */
import { parseDuration } from "#actors/model/duration.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export const drainLabel = "troupe.drain.timeout"
/** Of a node: `now` ends its tasks at once when it is drained, before others have taken their place. */
export const nodeDrainLabel = "troupe.drain"

/** Enough for most answers. A client that spoke last and wants no answer makes a stop this much longer. */
const usualMs = 5_000
const mostMs = 3_600_000

export const drainMs = (labels: ServiceSpec["Labels"]): number => {
  const text = labels?.[drainLabel]
  return (text === undefined ? undefined : durationOf(text)) ?? usualMs
}

/** Why the label cannot be meant as it stands. */
export function checkDrain({ Labels }: ServiceSpec): string | undefined {
  const text = Labels?.[drainLabel]
  if (text === undefined || durationOf(text) !== undefined) return undefined
  return `label ${drainLabel} ${JSON.stringify(text)}: expected a duration from 0s to 1h, like "5s"`
}

function durationOf(text: string): number | undefined {
  const ms = text === "0" ? 0 : parseDuration(text)
  return ms === undefined || ms > mostMs ? undefined : ms
}
