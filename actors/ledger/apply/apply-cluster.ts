/** What entries about the cluster itself do to the tables. */
import {
  type At,
  born,
  failedPrecondition,
  notFound,
  type Of,
  touched,
  type Verdict
} from "#actors/ledger/apply/verdict.ts"
import { featureLevelOf } from "#actors/ledger/features.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { outOfSequence, refuse } from "#actors/model/errors.ts"
import { networkKeysOf } from "#actors/model/network-keys.ts"
import type { Cluster } from "#actors/model/objects.ts"
import { firstIncarnation, supersedes } from "#actors/raft/incarnation.ts"

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
  tables.setCluster({ ...withSettings(cluster, command), ...touched(at) })
  return { id: cluster.ID }
}

/** What both commands that change settings have in common. */
function withSettings(
  cluster: Cluster,
  { spec, tokens, unlockKey }: Pick<Of<"cluster.update">, "spec" | "tokens" | "unlockKey">
): Cluster {
  const { UnlockKey: former, ...rest } = cluster
  const UnlockKey = unlockKey ?? former ?? ""
  return {
    ...rest,
    Spec: spec,
    ...(tokens !== undefined && { JoinTokens: tokens }),
    ...(UnlockKey !== "" && { UnlockKey })
  }
}

export function trustCluster(tables: LedgerTables, at: At, command: Of<"cluster.trust">): Verdict {
  const cluster = tables.cluster()
  if (cluster === undefined) return notFound("cluster", "default")
  if (cluster.Roots !== undefined) return refuse("failedPrecondition", "This cluster has its roots already.")
  tables.setCluster({ ...cluster, Roots: command.roots, JoinTokens: command.tokens, ...touched(at) })
  return { id: cluster.ID }
}

export function rotateCluster(tables: LedgerTables, at: At, command: Of<"cluster.rotate">): Verdict {
  const cluster = tables.cluster()
  if (cluster?.Roots === undefined) return notFound("cluster", "default")
  if (cluster.Version.Index !== command.version) return outOfSequence
  const { rotation: _before, ...roots } = cluster.Roots
  const { rotation } = command
  tables.setCluster({
    ...withSettings(cluster, command),
    RootRotationInProgress: rotation !== undefined,
    Roots: { ...roots, ...(rotation !== undefined && { rotation }) },
    ...touched(at)
  })
  return { id: cluster.ID }
}

export function endRotation(tables: LedgerTables, at: At, command: Of<"cluster.rotated">): Verdict {
  const cluster = tables.cluster()
  if (cluster?.Roots === undefined) return notFound("cluster", "default")
  const { rotation, ...roots } = cluster.Roots
  // A leader that has been followed may still speak of the rotation before.
  if (rotation?.certificate !== command.certificate) {
    return failedPrecondition("this is not the root certificate that the cluster is changing to")
  }
  tables.setCluster({
    ...cluster,
    JoinTokens: command.tokens,
    RootRotationInProgress: false,
    Roots: { ...roots, ca: rotation },
    ...touched(at)
  })
  return { id: cluster.ID }
}

export function passRoutes(
  tables: LedgerTables,
  at: At,
  { number, password, holders }: Of<"cluster.routes">
): Verdict {
  const cluster = tables.cluster()
  if (cluster?.Roots === undefined) return notFound("cluster", "default")
  const known = cluster.Roots.routes?.number ?? 1
  const isKnown = number === known && password === cluster.Roots.routePassword
  if (!isKnown && number !== known + 1) {
    return failedPrecondition(`the password of routes is number ${known}, which ${number} does not follow`)
  }
  tables.setCluster({
    ...cluster,
    Roots: { ...cluster.Roots, routePassword: password, routes: { number, holders } },
    ...touched(at)
  })
  return { id: cluster.ID }
}

export function changeKeys(tables: LedgerTables, at: At, { epoch, asked }: Of<"cluster.keys">): Verdict {
  const cluster = tables.cluster()
  if (cluster === undefined) return notFound("cluster", "default")
  const { Epoch: known } = networkKeysOf(cluster)
  if (epoch !== known + 1) {
    return failedPrecondition(`keys of networks are of epoch ${known}, which ${epoch} does not follow`)
  }
  const Asked = asked ?? cluster.NetworkKeys?.Asked
  tables.setCluster({
    ...cluster,
    NetworkKeys: { Epoch: epoch, Since: at.time, ...(Asked !== undefined && { Asked }) },
    ...touched(at)
  })
  return { id: cluster.ID }
}

/** Not a new version: nobody changed the cluster. */
export function noteAlerts(tables: LedgerTables, { firing, ended }: Of<"cluster.alerts">): Verdict {
  const cluster = tables.cluster()
  if (cluster === undefined) return notFound("cluster", "default")
  const { Alerts: known = [], ...rest } = cluster
  const keyOf = ({ condition, id }: { readonly condition: string; readonly id: string }): string =>
    `${condition} ${id}`
  const gone = new Set([...ended, ...firing].map(keyOf))
  const Alerts = [...known.filter((alert) => !gone.has(keyOf(alert))), ...firing]
  tables.setCluster({ ...rest, ...(Alerts.length > 0 && { Alerts }) })
  return { id: cluster.ID }
}

export function refoundCluster(tables: LedgerTables, at: At, command: Of<"cluster.refound">): Verdict {
  const cluster = tables.cluster()
  if (cluster?.Roots === undefined) return notFound("cluster", "default")
  const { incarnation, node, routePassword, level } = command
  const before = cluster.Incarnation ?? firstIncarnation
  const { routes } = cluster.Roots
  if (!supersedes(incarnation, before)) {
    return failedPrecondition(
      `the cluster is in incarnation ${before.number}, which ${incarnation.number} does not follow`
    )
  }
  tables.setCluster({
    ...cluster,
    Incarnation: incarnation,
    FeatureLevel: Math.max(cluster.FeatureLevel, level),
    Roots: {
      ...cluster.Roots,
      routePassword,
      ...(routes !== undefined && { routes: { number: routes.number + 1, holders: [node.ID] } })
    },
    ...touched(at)
  })
  for (const left of [...tables.all("node")].sort((a, b) => (a.ID < b.ID ? -1 : 1))) {
    const isManager = left.Spec.Role === "manager" || left.ManagerStatus !== undefined
    if (left.ID === node.ID || !isManager) continue
    // Without keys no nats-server lets it in.
    const { ManagerStatus: _place, Keys: _keys, ...rest } = left
    tables.put("node", {
      ...rest,
      Spec: { ...left.Spec, Role: "worker" },
      Status: { ...left.Status, State: "down", Message: leftBehind },
      ...touched(at)
    })
  }
  const known = tables.get("node", node.ID)
  tables.put("node", {
    ...known,
    ...node,
    Spec: { ...(known?.Spec ?? node.Spec), Role: "manager" },
    ...(known === undefined ? born(at) : { CreatedAt: known.CreatedAt, ...touched(at) })
  })
  return { id: cluster.ID }
}

const leftBehind = "the cluster was begun anew without this manager: it has to leave, and to join again"

export function raiseCluster(tables: LedgerTables, at: At, { level }: Of<"cluster.raise">): Verdict {
  const cluster = tables.cluster()
  if (cluster === undefined) return notFound("cluster", "default")
  if (level <= cluster.FeatureLevel) {
    return failedPrecondition(
      `the cluster has feature level ${cluster.FeatureLevel}, which is never lowered: ${level} is not above it`
    )
  }
  // By id: a refusal reads the same on a member that began from a snapshot.
  const managers = [...tables.all("node")]
    .filter((node) => node.ManagerStatus !== undefined)
    .sort((a, b) => (a.ID < b.ID ? -1 : 1))
  for (const manager of managers) {
    const can = featureLevelOf(manager)
    if (can < level) {
      return failedPrecondition(
        `manager ${manager.ID} can only do feature level ${can}: it needs a newer release for ${level}`
      )
    }
  }
  tables.setCluster({ ...cluster, FeatureLevel: level, ...touched(at) })
  return { id: cluster.ID }
}
