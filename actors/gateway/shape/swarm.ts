/** The cluster as the Engine shows it, in `GET /swarm` and inside `GET /info`. */
import { swarmSpec } from "#actors/gateway/shape/layouts.ts"
import { render } from "#actors/gateway/shape/render.ts"
import type { Cluster } from "#actors/model/objects.ts"

/** Swarm's own pool, which the Engine shows as none. */
const defaultPool = "10.0.0.0/8"

/** `ClusterInfo` of the Engine's API: everything but the join tokens, for `Swarm.Cluster` of `GET /info`. */
export function clusterInfo(cluster: Cluster): Record<string, unknown> {
  const pool = cluster.DefaultAddrPool
  const isDefault = pool.length === 0 || (pool.length === 1 && pool[0] === defaultPool)
  return {
    ID: cluster.ID,
    Version: cluster.Version,
    CreatedAt: cluster.CreatedAt,
    UpdatedAt: cluster.UpdatedAt,
    Spec: render(swarmSpec, cluster.Spec, "out"),
    TLSInfo: {},
    RootRotationInProgress: cluster.RootRotationInProgress,
    DefaultAddrPool: isDefault ? null : pool,
    SubnetSize: cluster.SubnetSize,
    DataPathPort: cluster.DataPathPort
  }
}

/** `GET /swarm`. */
export const swarm = (cluster: Cluster): Record<string, unknown> => ({
  ...clusterInfo(cluster),
  JoinTokens: { Worker: cluster.JoinTokens.Worker, Manager: cluster.JoinTokens.Manager }
})
