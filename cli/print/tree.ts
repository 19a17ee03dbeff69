/** The supervision tree as text: one line an actor, what is wrong in plain sight; and how a name is found in it. */
import { showAddress } from "#runtime/address.ts"
import type { ChildRef, TreeNode } from "#runtime/system.ts"

export function showTree(nodes: ReadonlyArray<TreeNode>): string {
  const lines: Array<string> = []
  const walk = (node: TreeNode, indent: string, isLast: boolean, isTop: boolean): void => {
    lines.push(`${isTop ? "" : `${indent}${isLast ? "\u2514\u2500 " : "\u251c\u2500 "}`}${describe(node)}`)
    const below = isTop ? "" : `${indent}${isLast ? "   " : "\u2502  "}`
    for (const [at, child] of node.children.entries()) {
      walk(child, below, at === node.children.length - 1, false)
    }
  }
  for (const node of nodes) walk(node, "", true, true)
  return lines.join("\n")
}

function describe(node: TreeNode): string {
  const facts: Array<string> = []
  if (node.state !== "running") facts.push(node.state)
  if (node.summary !== undefined && node.summary !== "") facts.push(node.summary)
  if ((node.handled ?? 0) > 0) facts.push(`${node.handled} handled`)
  if ((node.depth ?? 0) > 0)
    facts.push(`${node.depth} waiting, the oldest for ${Math.round(node.oldestMs ?? 0)} ms`)
  if ((node.performing ?? 0) > 0) facts.push(`${node.performing} under way`)
  if (node.restarts > 0) facts.push(`${node.restarts} restart${node.restarts === 1 ? "" : "s"}`)
  if (node.lastError !== undefined) {
    const message = node.lastMessage === undefined ? "" : ` [message ${node.lastMessage}]`
    facts.push(`last error: ${node.lastError}${message}`)
  }
  if ((node.folded ?? 0) > 0) facts.push(`${node.folded} below`)
  return facts.length === 0 ? node.name : `${node.name}  ${facts.join("; ")}`
}

export interface FoundChild {
  readonly name: string
  readonly child: ChildRef
}

/** The one child that `word` names: an address, or a name in the tree. The error says what is wrong with the word. */
export function childCalled(trees: ReadonlyArray<TreeNode>, word: string): FoundChild | Error {
  const found: FoundChild[] = []
  const walk = (node: TreeNode, path: ReadonlyArray<string>): void => {
    const here = [...path, node.name]
    const address = node.address && showAddress(node.address)
    if (node.name === word || address === word) {
      found.push({ name: address ?? node.name, child: node.address ?? here })
    }
    for (const child of node.children) walk(child, here)
  }
  for (const tree of trees) walk(tree, [])
  const [only, ...others] = found
  if (only === undefined) return new Error(`Nothing called ${word} runs there: troupe tree shows what does`)
  if (others.length === 0) return only
  return new Error(`${word} names several: ${found.map(({ name }) => name).join(", ")}`)
}
