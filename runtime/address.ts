/**
 * Addresses and the subject grammar: `troupe.v1.<cluster>.<home>.<kind>.<id>.<lane>`, always seven tokens.
 *
 * Lanes: `in` is said to an actor, `out` is announced by it, `sys` is for its supervisor and is served first.
 * Ids, never names, in subjects. The same address works for an actor in this process and for one elsewhere.
 */
import { assert } from "#runtime/assert.ts"

export interface Address {
  /** A node id, or `leader` (whichever manager leads now), or `manager` (any of them). */
  readonly home: string
  readonly kind: string
  readonly id: string
}

export const address = (home: string, kind: string, id: string): Address => ({ home, kind, id })

/** A token may hold what ids and kinds are made of; dots, wildcards and blanks would change the grammar. */
const token = /^[A-Za-z0-9_-]{1,64}$/

export const isToken = (text: string): boolean => token.test(text)

export function subjectOf(cluster: string, to: Address, lane: string): string {
  assert(
    isToken(cluster) && isToken(to.home) && isToken(to.kind) && isToken(to.id) && isToken(lane),
    "subjects are made of tokens"
  )
  return `troupe.v1.${cluster}.${to.home}.${to.kind}.${to.id}.${lane}`
}

export interface Subject {
  readonly cluster: string
  readonly to: Address
  readonly lane: string
}

/** The parts of a subject, or `undefined` when it is not one of ours. */
export function parseSubject(subject: string): Subject | undefined {
  const tokens = subject.split(".")
  if (tokens.length !== 7 || tokens[0] !== "troupe" || tokens[1] !== "v1") return undefined
  const [, , cluster, home, kind, id, lane] = tokens as [
    string,
    string,
    string,
    string,
    string,
    string,
    string
  ]
  if (![cluster, home, kind, id, lane].every(isToken)) return undefined
  return { cluster, to: { home, kind, id }, lane }
}

export const showAddress = (to: Address): string => `${to.home}/${to.kind}/${to.id}`

/** The inverse of `showAddress`; `undefined` for anything else. */
export function parseAddress(text: string | undefined): Address | undefined {
  const parts = text?.split("/")
  if (parts?.length !== 3 || !parts.every(isToken)) return undefined
  const [home, kind, id] = parts as [string, string, string]
  return { home, kind, id }
}
