/** Whether the cluster allows what only labels, which can be meant, can ask for. */
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { allowedBy, askedExtras, type Extra, labelOf } from "#actors/model/extras.ts"
import type { ServiceSpec, SwarmSpec } from "#actors/model/spec.ts"

export function checkExtras(spec: ServiceSpec, cluster: SwarmSpec | undefined): Refusal | undefined {
  const asked = askedExtras(spec.TaskTemplate?.ContainerSpec?.Labels)
  if ("problem" in asked) return undefined
  const allowed = allowedBy(cluster?.Labels)
  const denied = (Object.keys(asked) as ReadonlyArray<Extra>).filter((extra) => !allowed.includes(extra))
  if (denied.length === 0) return undefined
  const labels = denied.map(labelOf).join(", ")
  return refuse(
    "forbidden",
    `label ${labels}: this cluster does not allow it; \`troupe allow ${denied.join(" ")}\` lets every service have it`
  )
}
