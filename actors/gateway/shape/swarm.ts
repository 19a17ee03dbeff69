/** The cluster as the Engine shows it, in `GET /swarm` and inside `GET /info`. */
import { issuerOf } from "#actors/authority/x509.ts"
import { swarmSpec } from "#actors/gateway/shape/layouts.ts"
import { render } from "#actors/gateway/shape/render.ts"
import type { Cluster } from "#actors/model/objects.ts"
import { signerOf } from "#actors/model/trust.ts"

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
    TLSInfo: tlsInfo(cluster),
    RootRotationInProgress: cluster.RootRotationInProgress,
    DefaultAddrPool: isDefault ? null : pool,
    SubnetSize: cluster.SubnetSize,
    DataPathPort: cluster.DataPathPort
  }
}

/** The root that is trusted, and who signs: while the root changes that is the one to come. */
function tlsInfo({ Roots: roots }: Cluster): Record<string, unknown> {
  if (roots === undefined) return {}
  const { subject, publicKey } = issuerOf(signerOf(roots).certificate)
  return { TrustRoot: roots.ca.certificate, CertIssuerSubject: subject, CertIssuerPublicKey: publicKey }
}

/** `GET /swarm`. */
export const swarm = (cluster: Cluster): Record<string, unknown> => ({
  ...clusterInfo(cluster),
  JoinTokens: { Worker: cluster.JoinTokens.Worker, Manager: cluster.JoinTokens.Manager }
})
