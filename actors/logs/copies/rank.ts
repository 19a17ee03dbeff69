/**
 * Which other node has a copy of a node's logs: rendezvous hashing, so that where one node comes or goes, the copies of the
 * others stay where they are.
 */
import { hashId } from "#actors/ledger/hash.ts"

/** How much `holder` is the one for `node`'s copy; the largest wins. */
export const scoreOf = (node: string, holder: string): number => hashId(`${node} ${holder}`) >>> 0

/** Of two holders with their scores, whether the first comes before the second; ids decide where scores do not. */
export const isBefore = (a: string, scoreA: number, b: string, scoreB: number): boolean =>
  scoreA === scoreB ? a < b : scoreA > scoreB

/** The first `count` of those that may have the copy, the one that should have it first. */
export function rank(node: string, holders: Iterable<string>, count: number): ReadonlyArray<string> {
  const scored = [...holders]
    .filter((holder) => holder !== node)
    .map((holder) => ({ holder, score: scoreOf(node, holder) }))
  scored.sort((a, b) => (isBefore(a.holder, a.score, b.holder, b.score) ? -1 : 1))
  return scored.slice(0, count).map(({ holder }) => holder)
}
