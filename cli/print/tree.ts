/** The supervision tree as text: one line an actor, what is wrong in plain sight. */
import type { TreeNode } from "#runtime/system.ts"

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
  if (node.lastError !== undefined) facts.push(`last error: ${node.lastError}`)
  return facts.length === 0 ? node.name : `${node.name}  ${facts.join("; ")}`
}
