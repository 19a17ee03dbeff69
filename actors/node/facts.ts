/** What a machine says of itself, compared: a node tells the leader only what has changed. */
import type { NodeDescription } from "#actors/model/objects.ts"
import type { Place } from "#actors/task/protocol.ts"

/** True when both say the same, whatever the order of keys and of plugins. */
export const sameDescription = (a: NodeDescription, b: NodeDescription): boolean =>
  canonical(a) === canonical(b)

const canonical = ({ Engine, ...rest }: NodeDescription): string =>
  JSON.stringify(
    sorted({
      ...rest,
      Engine: {
        ...Engine,
        Plugins: (Engine.Plugins ?? []).map(({ Type, Name }) => `${Type}/${Name}`).sort()
      }
    })
  )

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)])
  )
}

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
