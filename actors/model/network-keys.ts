/** Which keys encrypted overlays go by, when others follow, and where people say so: labels of the swarm. */
import { parseDuration } from "#actors/model/duration.ts"
import type { Cluster, NodeDescription } from "#actors/model/objects.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"

/** How long nodes go by the same keys, like `12h`. */
export const keyPeriodLabel = "troupe.network.key-period"
/** Any other value than the one before asks for other keys at once. */
export const keyChangeLabel = "troupe.network.key-change"

/** As Swarm has it. */
const usualPeriodMs = 12 * 3_600_000
const leastPeriodMs = 60_000

/** Docker's name for the option that asks for encryption, whatever its value. */
const encryptedOption = "encrypted"
export const isEncrypted = (options: Readonly<Record<string, string>>): boolean => encryptedOption in options

/** A cluster begins with the first epoch. */
export const networkKeysOf = ({
  NetworkKeys,
  CreatedAt
}: Pick<Cluster, "NetworkKeys" | "CreatedAt">): NonNullable<Cluster["NetworkKeys"]> =>
  NetworkKeys ?? { Epoch: 1, Since: CreatedAt }

export const keyPeriodMs = ({ Labels }: SwarmSpec): number =>
  periodOf(Labels?.[keyPeriodLabel] ?? "") ?? usualPeriodMs

/** Why the label cannot be meant as it stands. */
export function checkKeyPeriod({ Labels }: SwarmSpec): string | undefined {
  const text = Labels?.[keyPeriodLabel]
  if (text === undefined || periodOf(text) !== undefined) return undefined
  return `label ${keyPeriodLabel} ${JSON.stringify(text)}: expected a duration of a minute or more, like "12h"`
}

function periodOf(text: string): number | undefined {
  const ms = parseDuration(text)
  return ms === undefined || ms < leastPeriodMs ? undefined : ms
}

/** Why encrypted overlays end at the node; `undefined` where they do not. */
export const hindranceOf = ({ WireGuard }: Pick<NodeDescription, "WireGuard">): string | undefined =>
  WireGuard === undefined ? "its release of Troupe encrypts nothing" : WireGuard.Refusal

/** The epoch of which the node should have a key and has none yet; `undefined` where all is well, or it can have none. */
export function missingEpoch(
  cluster: Pick<Cluster, "NetworkKeys" | "CreatedAt">,
  description: Pick<NodeDescription, "WireGuard"> | undefined
): number | undefined {
  if (description === undefined || hindranceOf(description) !== undefined) return undefined
  const { Epoch: epoch } = networkKeysOf(cluster)
  return description.WireGuard?.Keys.some(({ Epoch }) => Epoch === epoch) === true ? undefined : epoch
}
