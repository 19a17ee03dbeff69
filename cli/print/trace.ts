/** A chain of messages as text: what led to one above it, what it led to below, who saw what and how it ended. */
import type { Chain, Piece, TraceNode } from "#runtime/trace-join.ts"

export function showTrace({ ancestors, node }: Chain): string {
  const lines: Array<string> = []
  for (const [depth, ancestor] of ancestors.entries())
    lines.push(...described(ancestor, "   ".repeat(depth), "  "))
  const walk = (one: TraceNode, depth: number): void => {
    const indent = "   ".repeat(depth)
    lines.push(...described(one, indent, one === node ? "▶ " : "  "))
    for (const child of one.children) walk(child, depth + 1)
  }
  walk(node, ancestors.length)
  return lines.join("\n")
}

function described(
  { id, pieces }: Pick<TraceNode, "id" | "pieces">,
  indent: string,
  mark: string
): ReadonlyArray<string> {
  const [first, ...others] = pieces
  if (first === undefined) return [`${indent}${mark}${id}  no longer remembered by any node`]
  const { tag, to, from } = first.record
  const line = `${indent}${mark}${clock(first.record.at)} ${from ?? "outside"} → ${to}  ${tag}  ${ending(first)}  ${id}`
  return [line, ...others.map((piece) => `${indent}    ${clock(piece.record.at)} ${ending(piece)}`)]
}

function ending({ nodeId, record }: Piece): string {
  const took = record.decideMicros === undefined ? "" : ` in ${micros(record.decideMicros)}`
  return `[${nodeId}] ${record.outcome}${took}`
}

/** The time of day in UTC. */
const clock = (at: number): string => new Date(at).toISOString().slice(11, 23)

export const micros = (value: number): string =>
  value < 1_000 ? `${Math.round(value)} µs` : `${(value / 1_000).toFixed(value < 10_000 ? 1 : 0)} ms`
