/** Whether a cluster of this release may scale a service as its labels, which can be meant, ask for. */
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { countsRequests, labelPrefix } from "#actors/autoscaler/policy.ts"
import { refuseUntil } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Refusal } from "#actors/model/errors.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export function checkAutoscale(
  ledger: Pick<LedgerReader, "cluster">,
  spec: ServiceSpec
): Refusal | undefined {
  const policy = parsePolicy(spec)
  if (policy === undefined || "problem" in policy) return undefined
  const { targets, min } = policy
  const counted = targets.find(
    ({ metric }) => countsRequests(metric) || (metric === "connections" && min === 0)
  )
  return counted && refuseUntil(ledger, "requests counted", `label ${labelPrefix}${counted.name}`)
}
