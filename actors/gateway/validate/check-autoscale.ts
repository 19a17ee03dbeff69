/** Whether the labels by which a service asks to be scaled can be meant. */
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export function checkAutoscale(spec: ServiceSpec): Refusal | undefined {
  const policy = parsePolicy(spec)
  return policy !== undefined && "problem" in policy ? refuse("invalidArgument", policy.problem) : undefined
}
