/**
 * Which addresses of an attachable network are for containers that people attach themselves.
 *
 * Those addresses are given beside the allocator, at the moment somebody waits for one (`allot-attached.ts`; by the
 * Engine itself where managers cannot yet), so they are never of the range that tasks get theirs from. The last quarter
 * of every subnet of an attachable network is theirs, the bridge's `IPRange`; the rest is the allocator's.
 */
import type { Subnet } from "#actors/network/ip.ts"

/** Half of an IPv4 /29 is the least from which a quarter leaves anything worth having. */
const longestPrefix = { 4: 29, 6: 120 } as const

/** The last quarter of a subnet; `undefined` where it is too small to be divided. */
export function manualRange(subnet: Subnet): Subnet | undefined {
  if (subnet.prefix > longestPrefix[subnet.family]) return undefined
  const size = subnet.size / 4n
  return { family: subnet.family, base: subnet.base + 3n * size, prefix: subnet.prefix + 2, size }
}
