/** Whether a node's settings can be meant, and the settings as they are stored. */
import { nodeSpec } from "#actors/gateway/shape/layouts.ts"
import { render } from "#actors/gateway/shape/render.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { NodeSpec, NodeSpecRequest } from "#actors/model/spec.ts"

const roles = ["worker", "manager"] as const
const availabilities = ["active", "pause", "drain"] as const

const oneOf = <Word extends string>(words: ReadonlyArray<Word>, asked: string): Word | undefined =>
  words.find((word) => word === asked.toLowerCase())

/** The whole of what is asked for: as in the Engine a role and an availability must be named. */
export function completeNode(asked: NodeSpecRequest): NodeSpec | Refusal {
  const Role = oneOf(roles, asked.Role ?? "")
  if (Role === undefined) return refuse("invalidArgument", `invalid Role: "${asked.Role ?? ""}"`)
  const Availability = oneOf(availabilities, asked.Availability ?? "")
  if (Availability === undefined)
    return refuse("invalidArgument", `invalid Availability: "${asked.Availability ?? ""}"`)
  return render(nodeSpec, { ...asked, Role, Availability }, "in") as NodeSpec
}
