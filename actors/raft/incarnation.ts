/**
 * Which life of a group this is. A group that lost its majority for good is begun anew by one survivor: the log goes on
 * in another incarnation, and whoever was left behind belongs to the one before, also when it comes back.
 *
 * It travels with every message as a part of the group's name, and is written down beside the log.
 */

/** `number` counts from 1; `id` tells two apart that were begun with the same number, and is `""` for the first. */
export interface Incarnation {
  readonly number: number
  readonly id: string
}

/** Of a cluster that was founded and never begun anew. */
export const firstIncarnation: Incarnation = { number: 1, id: "" }

/** The one that follows; `id` is fresh and a token. */
export const nextIncarnation = ({ number }: Incarnation, id: string): Incarnation => ({
  number: number + 1,
  id
})

/** Whether `later` leaves whoever is of `earlier` behind. Of two with the same number neither does. */
export const supersedes = (later: Incarnation, earlier: Incarnation): boolean => later.number > earlier.number

/** The one that leaves the other behind; the first where neither does. */
export const later = (a: Incarnation, b: Incarnation): Incarnation => (supersedes(b, a) ? b : a)

export const isSameIncarnation = (a: Incarnation, b: Incarnation): boolean =>
  a.number === b.number && a.id === b.id

/** For people. */
export const showIncarnation = ({ number, id }: Incarnation): string =>
  id === "" ? `${number}` : `${number} (${id})`

// At an election every half second, 15 years of elections.
const termsOfOne = 1_000_000_000

/**
 * Terms of an incarnation are above this one, and so above all terms of those before it: whoever drops the words of
 * older leaders drops those of leaders that were left behind.
 */
export const termBefore = ({ number }: Incarnation): number => (number - 1) * termsOfOne

/** Names the cluster and its incarnation. That of the first is the cluster's id, as in releases that knew no others. */
export const groupName = (clusterId: string, { number, id }: Incarnation): string =>
  number === 1 && id === "" ? clusterId : `${clusterId}/${number}/${id}`

const laterName = /^([^/]+)\/(\d{1,7})\/([^/]+)$/

/** The incarnation that a name of `clusterId`'s group says, or `undefined` where it is another cluster's. */
export function incarnationOf(clusterId: string, name: string): Incarnation | undefined {
  if (name === clusterId) return firstIncarnation
  const found = laterName.exec(name)
  if (found === null || found[1] !== clusterId) return undefined
  return { number: Number(found[2]), id: found[3] as string }
}

/** The number of the incarnation that a term belongs to. */
export const numberOfTerm = (term: number): number => Math.floor(Math.max(0, term - 1) / termsOfOne) + 1
