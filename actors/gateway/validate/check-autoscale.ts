/** Whether the labels by which a service asks to be scaled can be meant, and whether what they name is measured. */
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { labelPrefix, type Metric } from "#actors/autoscaler/policy.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

/** To be counted by the HTTP entrance, which does not yet. */
const ofRequests: ReadonlyArray<Metric> = ["rps", "inflight", "p95"]
const measured = ["cpu", "memory", "connections", "nats:<subject>", "schedule"]

export function checkAutoscale(spec: ServiceSpec): Refusal | undefined {
  const policy = parsePolicy(spec)
  if (policy === undefined) return undefined
  if ("problem" in policy) return refuse("invalidArgument", policy.problem)
  const unmeasured = policy.targets.find(({ metric }) => ofRequests.includes(metric))
  if (unmeasured === undefined) return undefined
  const known = measured.map((name) => `${labelPrefix}${name}`).join(", ")
  return refuse(
    "notImplemented",
    `label ${labelPrefix}${unmeasured.name}: nothing measures it in this version, whose HTTP entrance does not count requests; expected one of ${known}`
  )
}
