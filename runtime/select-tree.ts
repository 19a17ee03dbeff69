/**
 * The part of the live trees that was asked for, cut to what one message carries.
 *
 * What is left out is counted where it is missing: `folded` children are below the depth that was asked for, `hidden`
 * ones did not fit, and are asked for next, with `from`.
 */
import { showAddress } from "#runtime/address.ts"
import type { TreeNode } from "#runtime/system.ts"
import { encodeBody } from "#runtime/wire.ts"

export interface TreeQuery {
  /** Leads to one node: each is a name or an address among what is below the one before, the nearest first. */
  readonly under?: ReadonlyArray<string> | undefined
  /** How many levels below the tops; 0 is the tops alone. */
  readonly depth?: number | undefined
  /** The first child of the node at `under` that is wanted. */
  readonly from?: number | undefined
}

/** The trees that a query is about; `undefined` when nothing is at `under`. */
export function selectTrees(
  trees: ReadonlyArray<TreeNode>,
  { under = [], depth = Number.POSITIVE_INFINITY, from = 0 }: TreeQuery
): ReadonlyArray<TreeNode> | undefined {
  let level = trees
  for (const [place, wanted] of under.entries()) {
    const found = find(level, wanted)
    if (!found) return undefined
    level = place === under.length - 1 ? [found] : found.children
  }
  if (from > 0) level = level.map((node) => ({ ...node, children: node.children.slice(from) }))
  return level.map((node) => fold(node, depth))
}

const answersTo = (node: TreeNode, wanted: string): boolean =>
  node.name === wanted || (node.address !== undefined && showAddress(node.address) === wanted)

/** Breadth first, so that a child is found before a namesake further down. */
function find(nodes: ReadonlyArray<TreeNode>, wanted: string): TreeNode | undefined {
  for (let level = nodes; level.length > 0; level = level.flatMap((node) => node.children)) {
    const found = level.find((node) => answersTo(node, wanted))
    if (found) return found
  }
  return undefined
}

function fold(node: TreeNode, depth: number): TreeNode {
  if (node.children.length === 0) return node
  if (depth <= 0) return { ...node, children: [], folded: node.children.length }
  return { ...node, children: node.children.map((child) => fold(child, depth - 1)) }
}

/** The trees cut so that they take at most `maxBytes`: the longest lists of children are shortened first. */
export function fitTrees(
  trees: ReadonlyArray<TreeNode>,
  maxBytes: number
): { readonly trees: ReadonlyArray<TreeNode>; readonly omitted: number } {
  let answer = { trees, omitted: 0 }
  for (let most = 4_096; encodeBody(answer).length > maxBytes && most >= 1; most = Math.floor(most / 2)) {
    let omitted = 0
    const shorten = (node: TreeNode): TreeNode => {
      const hidden = node.children.length - most
      const children = node.children.slice(0, most).map(shorten)
      if (hidden <= 0) return { ...node, children }
      omitted += hidden
      return { ...node, children, hidden }
    }
    const cut = trees.map(shorten)
    answer = { trees: cut, omitted }
  }
  return answer
}
