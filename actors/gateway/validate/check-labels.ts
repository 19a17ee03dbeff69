/** Whether labels that begin with `troupe.` can be meant, and stand where they mean something: a slip would go unseen. */
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { labelPrefix as autoscalePrefix } from "#actors/autoscaler/policy.ts"
import { checkHttpRoute } from "#actors/gateway/validate/check-http-route.ts"
import { checkPublishLogs, publishLogsLabel } from "#actors/logs/publish/policy.ts"
import { drainLabel, nodeDrainLabel } from "#actors/model/drain.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { exclusiveLabel } from "#actors/model/exclusive.ts"
import { askedExtras, extras, labelOf } from "#actors/model/extras.ts"
import { httpPrefix } from "#actors/model/http-route.ts"
import type { NodeSpec, ServiceSpec } from "#actors/model/spec.ts"
import { publishLabel } from "#actors/network/publish-at.ts"

const prefix = "troupe."
const ofService = [exclusiveLabel, drainLabel, publishLabel, publishLogsLabel]
const families = [httpPrefix, autoscalePrefix]
const ofContainer = extras.map(labelOf)

const isOfService = (label: string): boolean =>
  ofService.includes(label) || families.some((family) => label.startsWith(family))
type Labels = ServiceSpec["Labels"]
const newOfOurs = (labels: Labels, before: Labels): ReadonlyArray<string> =>
  Object.keys(labels ?? {}).filter((label) => label.startsWith(prefix) && labels?.[label] !== before?.[label])

/**
 * The service's labels and its containers', as far as they alone tell. One that nobody reads and that was there `before`
 * an update, by an older release or restored, does not stand in its way.
 */
export function checkServiceLabels(spec: ServiceSpec, before?: ServiceSpec): Refusal | undefined {
  const policy = parsePolicy(spec)
  const asked = askedExtras(spec.TaskTemplate?.ContainerSpec?.Labels)
  return (
    checkPlaces(spec, before) ??
    checkHttpRoute(spec) ??
    checkPublishLogs(spec) ??
    (policy !== undefined && "problem" in policy ? refuse("invalidArgument", policy.problem) : undefined) ??
    ("problem" in asked ? refuse("invalidArgument", asked.problem) : undefined)
  )
}

function checkPlaces({ Labels, TaskTemplate }: ServiceSpec, before?: ServiceSpec): Refusal | undefined {
  for (const label of newOfOurs(Labels, before?.Labels)) {
    if (isOfService(label)) continue
    if (ofContainer.includes(label)) {
      return wrong(
        `${label} of the service`,
        "it among the container's labels (--container-label; in Compose, labels beside image)"
      )
    }
    if (label === nodeDrainLabel) {
      return wrong(
        `${label} of the service`,
        `it among a node's labels (docker node update --label-add), or ${drainLabel}`
      )
    }
    const known = [...ofService, ...families.map((family) => `${family}*`)]
    return wrong(named(label, Labels), `one of ${known.join(", ")}`)
  }
  const misplaced = Object.keys(TaskTemplate?.ContainerSpec?.Labels ?? {}).find(isOfService)
  return misplaced === undefined
    ? undefined
    : wrong(
        `${misplaced} of the container`,
        "it among the service's labels (--label; in Compose, deploy.labels)"
      )
}

/** As `checkServiceLabels` does. */
export function checkNodeLabels({ Labels }: NodeSpec, before: NodeSpec): Refusal | undefined {
  for (const label of newOfOurs(Labels, before.Labels)) {
    if (label !== nodeDrainLabel) return wrong(`${named(label, Labels)} of the node`, nodeDrainLabel)
    if (Labels?.[label] !== "now") return wrong(named(label, Labels), "now")
  }
  return undefined
}

const named = (label: string, labels: Labels): string => `${label} ${JSON.stringify(labels?.[label])}`
const wrong = (what: string, expected: string): Refusal =>
  refuse("invalidArgument", `label ${what}: expected ${expected}`)
