/** Nodes as the Engine shows them. */
import { nodeDescription, nodeSpec } from "#actors/gateway/shape/layouts.ts"
import { always, filled, type Layout, render } from "#actors/gateway/shape/render.ts"
import type { Node } from "#actors/model/objects.ts"

const status: Layout = [
  ["State", filled],
  ["Message", filled],
  ["Addr", filled]
]

const managerStatus: Layout = [
  ["Leader", filled],
  ["Reachability", filled],
  ["Addr", always("")]
]

const texts = new WeakMap<Node, string>()

/** The node's JSON; what only we know of it (when it was last seen, how it runs tasks) is left out. */
export function nodeText(node: Node): string {
  const known = texts.get(node)
  if (known !== undefined) return known
  const text = JSON.stringify({
    ID: node.ID,
    Version: node.Version,
    CreatedAt: node.CreatedAt,
    UpdatedAt: node.UpdatedAt,
    Spec: render(nodeSpec, node.Spec, "out"),
    Description: render(nodeDescription, node.Description ?? {}, "out"),
    Status: render(status, node.Status, "out"),
    ...(node.ManagerStatus === undefined
      ? {}
      : { ManagerStatus: render(managerStatus, node.ManagerStatus, "out") })
  })
  texts.set(node, text)
  return text
}
