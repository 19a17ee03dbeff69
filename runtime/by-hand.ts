/** Finds the child that people mean, in the trees that run here. */
import type { ChildHandle } from "#runtime/slots.ts"
import type { ChildRef } from "#runtime/system.ts"
import type { Branch } from "#runtime/tree.ts"

/** The newest tree's child that `ref` names; a path of one name is a tree's top. */
export function findChild(trees: Iterable<Branch>, ref: ChildRef): ChildHandle | undefined {
  for (const tree of [...trees].reverse()) {
    const found =
      "home" in ref ? tree.home === ref.home && tree.find(`${ref.kind}/${ref.id}`) : walk(tree, ref)
    if (found) return found
  }
  return undefined
}

function walk(tree: Branch, [top, ...names]: ReadonlyArray<string>): ChildHandle | undefined {
  if (top !== tree.name) return undefined
  let found: ChildHandle | undefined = topHandle(tree)
  for (const name of names) found = found?.slot.child?.(name)
  return found
}

/** Nobody stands above the top to stop it, or to judge its crash: it is restarted in place. */
const topHandle = (tree: Branch): ChildHandle => ({
  slot: tree,
  snapshot: () => tree.snapshot(),
  order: (order) => (order !== "restart" ? "not-found" : tree.renew() ? "done" : "stopping")
})
