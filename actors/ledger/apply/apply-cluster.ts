/** What entries about the cluster itself do to the tables. */
import { type At, born, notFound, type Of, touched, type Verdict } from "#actors/ledger/apply/verdict.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { outOfSequence, refuse } from "#actors/model/errors.ts"

export function createCluster(tables: LedgerTables, at: At, command: Of<"cluster.create">): Verdict {
  if (tables.cluster() !== undefined) {
    return refuse("failedPrecondition", "This node is already part of a swarm.")
  }
  tables.setCluster({ ...command.cluster, ...born(at) })
  tables.put("node", { ...command.node, ...born(at) })
  return { id: command.cluster.ID }
}

export function updateCluster(tables: LedgerTables, at: At, command: Of<"cluster.update">): Verdict {
  const cluster = tables.cluster()
  if (cluster === undefined) return notFound("cluster", "default")
  if (cluster.Version.Index !== command.version) return outOfSequence
  tables.setCluster({
    ...cluster,
    Spec: command.spec,
    ...(command.tokens === undefined ? {} : { JoinTokens: command.tokens }),
    ...touched(at)
  })
  return { id: cluster.ID }
}

export function trustCluster(tables: LedgerTables, at: At, command: Of<"cluster.trust">): Verdict {
  const cluster = tables.cluster()
  if (cluster === undefined) return notFound("cluster", "default")
  if (cluster.Roots !== undefined) return refuse("failedPrecondition", "This cluster has its roots already.")
  tables.setCluster({ ...cluster, Roots: command.roots, JoinTokens: command.tokens, ...touched(at) })
  return { id: cluster.ID }
}
