/** Which services' output other systems hear of over NATS: those whose label says so. */
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export const publishLogsLabel = "troupe.log.publish"

export const publishesLogs = (labels: ServiceSpec["Labels"]): boolean => labels?.[publishLogsLabel] === "true"

export function checkPublishLogs({ Labels }: ServiceSpec): Refusal | undefined {
  const text = Labels?.[publishLogsLabel]
  return text === undefined || text === "true" || text === "false"
    ? undefined
    : refuse("invalidArgument", `label ${publishLogsLabel} ${JSON.stringify(text)}: expected true or false`)
}
