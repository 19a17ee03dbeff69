/** Whether the labels by which a service asks for requests of the HTTP entrance can be meant. */
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { parseHttpRoute } from "#actors/model/http-route.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"

export function checkHttpRoute({ Labels }: ServiceSpec): Refusal | undefined {
  const parsed = parseHttpRoute(Labels)
  return parsed !== undefined && "problem" in parsed ? refuse("invalidArgument", parsed.problem) : undefined
}
