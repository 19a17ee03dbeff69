/** Labels of the swarm, by which people say what holds for the whole cluster and Swarm's API has no field for. */
import { Effect } from "effect"
import type { SwarmSpec } from "#actors/model/spec.ts"
import { get, post } from "#cli/client.ts"

interface Swarm {
  readonly Version: { readonly Index: number }
  readonly Spec: SwarmSpec
}

/** Has `change` set and delete some, and writes them where that made a difference. Yields them as they are then. */
export const changeSwarmLabels = Effect.fnUntraced(function* (
  socket: string,
  change: (labels: Map<string, string>) => void
) {
  const { Version, Spec } = yield* get<Swarm>(socket, "/swarm")
  const before = Spec.Labels ?? {}
  const labels = new Map(Object.entries(before))
  change(labels)
  const isSame =
    labels.size === Object.keys(before).length && [...labels].every(([name, value]) => before[name] === value)
  if (!isSame) {
    const Labels = Object.fromEntries(labels)
    yield* post(socket, `/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
  }
  return labels
})
