/** Whether the labels by which a service asks to be scaled can be meant. */
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { countsRequests, labelPrefix } from "#actors/autoscaler/policy.ts"
import { refuseUntil } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export function checkAutoscale(
  ledger: Pick<LedgerReader, "cluster">,
  spec: ServiceSpec
): Refusal | undefined {
  const policy = parsePolicy(spec)
  if (policy === undefined) return undefined
  if ("problem" in policy) return refuse("invalidArgument", policy.problem)
  const { targets, min } = policy
  const counted = targets.find(
    ({ metric }) => countsRequests(metric) || (metric === "connections" && min === 0)
  )
  return counted && refuseUntil(ledger, "requests counted", `label ${labelPrefix}${counted.name}`)
}
