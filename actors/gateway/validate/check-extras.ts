/** Whether a service may have what only labels can ask for. */
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { allowedBy, askedExtras, type Extra, extras, labelOf } from "#actors/model/extras.ts"
import type { ServiceSpec, SwarmSpec } from "#actors/model/spec.ts"

export function checkExtras(spec: ServiceSpec, cluster: SwarmSpec | undefined): Refusal | undefined {
  const misplaced = extras.map(labelOf).find((label) => spec.Labels?.[label] !== undefined)
  if (misplaced !== undefined) {
    return refuse(
      "invalidArgument",
      `label ${misplaced} of the service: expected it among the container's labels (--container-label; in Compose, labels beside image)`
    )
  }
  const asked = askedExtras(spec.TaskTemplate?.ContainerSpec?.Labels)
  if ("problem" in asked) return refuse("invalidArgument", asked.problem)
  const allowed = allowedBy(cluster?.Labels)
  const denied = (Object.keys(asked) as ReadonlyArray<Extra>).filter((extra) => !allowed.includes(extra))
  if (denied.length === 0) return undefined
  const labels = denied.map(labelOf).join(", ")
  return refuse(
    "forbidden",
    `label ${labels}: this cluster does not allow it; \`troupe allow ${denied.join(" ")}\` lets every service have it`
  )
}
