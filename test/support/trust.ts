/** What a cluster's trust looks like, for tests that never check a signature. */
import type { ManagerPorts, NatsKeys, Roots } from "#actors/model/trust.ts"

export const someRoots: Roots = {
  ca: { certificate: "some certificate", key: "some key" },
  routePassword: "some password"
}
export const someKeys: NatsKeys = { daemon: "UD", api: "UA", raft: "UR", system: "US" }
export const somePorts: ManagerPorts = { join: 2377, nats: 4222, route: 6222 }
