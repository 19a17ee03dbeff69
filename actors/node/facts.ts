/** What a machine says of itself, compared: a node tells the leader only what has changed. */
import type { NodeDescription } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import type { Place } from "#actors/task/protocol.ts"

/** True when both say the same, whatever the order of keys and of plugins. */
export const sameDescription = (a: NodeDescription, b: NodeDescription): boolean =>
  equal(inOrder(a), inOrder(b))

const inOrder = ({ Engine, ...rest }: NodeDescription) => ({
  ...rest,
  Engine: { ...Engine, Plugins: (Engine.Plugins ?? []).map(({ Type, Name }) => `${Type}/${Name}`).sort() }
})

/** The machine as its tasks' labels and placeholders name it. */
export const placeOf = (
  clusterId: string,
  nodeId: string,
  { Hostname, Platform }: NodeDescription
): Place => ({
  clusterId,
  nodeId,
  hostname: Hostname,
  os: Platform.OS ?? "",
  architecture: Platform.Architecture ?? ""
})
