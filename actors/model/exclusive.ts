/**
 * Services whose slots never have two tasks running, whatever happens to nodes: for volumes that two must not write to.
 *
 * Asked for by a label of the service (Compose: `deploy.labels`; CLI: `--label`). What it costs: a task on a node that
 * cannot be reached keeps its slot until the node is back or is removed, because nobody can tell whether it still runs.
 */
import { modeOf } from "#actors/model/service-facts.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export const exclusiveLabel = "troupe.exclusive"

export const isExclusive = (spec: ServiceSpec): boolean => spec.Labels?.[exclusiveLabel] === "true"

/** Why a slot whose task is on a node that is down gets no other. */
export const keptBy = (hostname: string, nodeId: string): string =>
  `node ${hostname} is down and may still run it: as the service is exclusive, nothing takes its place until the node is back, or "docker node rm --force ${nodeId}" says that it is gone for good`

/** Why the label cannot be meant as it stands. */
export function checkExclusive(spec: ServiceSpec): string | undefined {
  const value = spec.Labels?.[exclusiveLabel]
  if (value === undefined || value === "false") return undefined
  const label = `label ${exclusiveLabel} ${JSON.stringify(value)}`
  if (value !== "true") return `${label}: expected "true" or "false"`
  if (modeOf(spec).endsWith("-job")) return `${label}: expected a replicated or global service, found a job`
  for (const field of ["UpdateConfig", "RollbackConfig"] as const) {
    if (spec[field]?.Order === "start-first")
      return `${label}: expected ${field}.Order stop-first, found start-first, which runs two tasks of a slot`
  }
  return undefined
}
