/** What a new cluster begins with: itself, its first node, and the network that published ports come in by. */
import { joinAddress } from "#actors/authority/peers.ts"
import type { Command } from "#actors/ledger/commands.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import type { NodeDescription } from "#actors/model/objects.ts"
import type { NodeSpec, SwarmSpec } from "#actors/model/spec.ts"
import type { ManagerPorts, NatsKeys, Roots } from "#actors/model/trust.ts"

export interface Founding {
  readonly clusterId: string
  readonly ingressId: string
  readonly addrPool: ReadonlyArray<string>
  /** Swarm's unless told. */
  readonly subnetSize?: number | undefined
  readonly dataPathPort?: number | undefined
  readonly spec?: SwarmSpec | undefined
  readonly node: {
    readonly id: string
    readonly addr: string
    readonly availability: NonNullable<NodeSpec["Availability"]>
    readonly description: NodeDescription
    readonly keys: NatsKeys
    readonly ports: ManagerPorts
  }
  readonly roots: Roots
  readonly tokens: { readonly Worker: string; readonly Manager: string }
  /** Where managers are to lock themselves. */
  readonly unlockKey?: string | undefined
}

/** A new cluster's networks are cut from its pool in pieces of this size. */
export const usualSubnetSize = 24
export const usualDataPathPort = 4789

/** Swarm's defaults, which `docker info` and `docker swarm update` show and start from. */
export const usualSpec = {
  Name: "default",
  Labels: {},
  Orchestration: { TaskHistoryRetentionLimit: 5 },
  Raft: {
    SnapshotInterval: 10_000,
    KeepOldSnapshots: 0,
    LogEntriesForSlowFollowers: 500,
    ElectionTick: 10,
    HeartbeatTick: 1
  },
  Dispatcher: { HeartbeatPeriod: 5_000_000_000 },
  CAConfig: { NodeCertExpiry: 7_776_000_000_000_000 },
  TaskDefaults: {},
  EncryptionConfig: { AutoLockManagers: false }
} as const satisfies SwarmSpec

/** The first manager of a cluster, or the only one that is left of it. */
export const firstNode = (node: Founding["node"]) => ({
  ID: node.id,
  Spec: { Role: "manager", Availability: node.availability, Labels: {} } as const,
  Description: { ...node.description, FeatureLevel: featureLevel },
  Status: { State: "ready", Addr: node.addr } as const,
  ManagerStatus: {
    Leader: true,
    Reachability: "reachable",
    Addr: joinAddress(node.addr, node.ports),
    Ports: node.ports
  } as const,
  Keys: node.keys
})

export function foundingCommands(founding: Founding): ReadonlyArray<Command> {
  const { node } = founding
  return [
    {
      type: "cluster.create",
      v: 1,
      cluster: {
        ID: founding.clusterId,
        Spec: founding.spec ?? usualSpec,
        RootRotationInProgress: false,
        DefaultAddrPool: founding.addrPool,
        SubnetSize: founding.subnetSize ?? usualSubnetSize,
        DataPathPort: founding.dataPathPort ?? usualDataPathPort,
        JoinTokens: founding.tokens,
        FeatureLevel: featureLevel,
        Roots: founding.roots,
        ...(founding.unlockKey !== undefined && { UnlockKey: founding.unlockKey })
      },
      node: firstNode(node)
    },
    {
      type: "network.create",
      v: 1,
      network: {
        ID: founding.ingressId,
        Name: "ingress",
        Driver: "overlay",
        Scope: "swarm",
        Internal: false,
        Attachable: false,
        Ingress: true,
        EnableIPv6: false,
        IPAM: { Driver: "default" },
        Options: {},
        Labels: {}
      }
    }
  ]
}
