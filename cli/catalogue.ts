/** Every kind of actor there is, for a replay: as the trees of a manager and a node name them. */
import { leaderTree } from "#actors/manager/tree.ts"
import { nodeTree } from "#actors/node/tree.ts"
import type { AnyActor } from "#runtime/actor.ts"
import type { SupervisorSpec } from "#runtime/supervisor.ts"

/** The definition that runs at `home` under this kind; the leader and the nodes have kinds of the same name. */
export function definitionOf(home: string, kind: string): AnyActor | undefined {
  const nowhere = { clusterId: "", nodeId: "", raftId: "", term: 0, ledger: undefined as never }
  return find(home === "leader" ? leaderTree(nowhere) : nodeTree(nowhere), kind)
}

function find(spec: SupervisorSpec, kind: string): AnyActor | undefined {
  for (const child of spec.children) {
    if (child._tag === "Supervisor") {
      const found = find(child.spec, kind)
      if (found) return found
    } else if (child.definition.kind === kind) return child.definition
  }
  return undefined
}
