/**
 * What the cluster remembers: the objects of the Docker API, in its shapes. There is no second model.
 *
 * Two differences, both in tasks, keep a million of them small: a task names the version of its service's spec
 * (`SpecVersion`) instead of carrying a copy, and the gateway joins the two again when it answers.
 */
import { Schema } from "effect"
import {
  ConfigSpec,
  EndpointSpec,
  GenericResource,
  Ipam,
  NodeSpec,
  Platform,
  PortConfig,
  SecretSpec,
  ServiceSpec,
  SwarmSpec,
  Topology,
  VolumeSpec
} from "#actors/model/spec.ts"
import { Incarnation, ManagerPorts, NatsKeys, Roots } from "#actors/model/trust.ts"

const text = Schema.String
const whole = Schema.Int
const truth = Schema.Boolean
const optional = Schema.optionalKey
const Labels = Schema.Record(text, text)

/** `Index` is the ledger index of the object's last change; writers must name it (optimistic concurrency). */
const Version = Schema.Struct({ Index: whole })
/** RFC 3339, UTC. */
const Meta = { ID: text, Version, CreatedAt: text, UpdatedAt: text } as const

/** Swarm's task states in their order; an observed state never goes back. */
export const taskStates = [
  "new",
  "pending",
  "assigned",
  "accepted",
  "preparing",
  "ready",
  "starting",
  "running",
  "complete",
  "shutdown",
  "failed",
  "rejected",
  "remove",
  "orphaned"
] as const
export type TaskState = (typeof taskStates)[number]

export const TaskStatus = Schema.Struct({
  Timestamp: text,
  State: Schema.Literals(taskStates),
  Message: optional(text),
  Err: optional(text),
  ContainerStatus: optional(
    Schema.Struct({ ContainerID: text, PID: optional(whole), ExitCode: optional(whole) })
  ),
  PortStatus: optional(Schema.Struct({ Ports: optional(Schema.Array(PortConfig)) }))
})
export type TaskStatus = typeof TaskStatus.Type

/** An address that the allocator gave a task on one network. `Addresses` are CIDRs, `10.0.1.5/24`. */
export const Attachment = Schema.Struct({
  NetworkID: text,
  Addresses: Schema.Array(text),
  Aliases: optional(Schema.Array(text))
})
export type Attachment = typeof Attachment.Type

/** Which volume the scheduler gave a task for the mount with this source and target. */
export const VolumeAttachment = Schema.Struct({ ID: text, Source: text, Target: text })
export type VolumeAttachment = typeof VolumeAttachment.Type

/** Why a task is where it is: the losers per filter, in Swarm's words, and the rank that decided. */
export const PlacementReason = Schema.Struct({
  Node: text,
  Rejected: Labels,
  Rank: text
})
export type PlacementReason = typeof PlacementReason.Type

export const Task = Schema.Struct({
  ...Meta,
  ServiceID: text,
  /** The version of the service's spec that this task carries out; see `Service.SpecVersion`. */
  SpecVersion: whole,
  /** From 1 for replicated services; absent for global ones, whose slot is their node. */
  Slot: optional(whole),
  NodeID: optional(text),
  Status: TaskStatus,
  DesiredState: Schema.Literals(taskStates),
  /** A replacement waits in `ready` until this time (RFC 3339) before it may run. */
  StartAfter: optional(text),
  Attachments: optional(Schema.Array(Attachment)),
  AssignedGenericResources: optional(Schema.Array(GenericResource)),
  /** One for each of its mounts of cluster volumes. */
  Volumes: optional(Schema.Array(VolumeAttachment)),
  JobIteration: optional(Version),
  Reason: optional(PlacementReason)
})
export type Task = typeof Task.Type

export const UpdateStatus = Schema.Struct({
  State: Schema.Literals([
    "updating",
    "paused",
    "completed",
    "rollback_started",
    "rollback_paused",
    "rollback_completed"
  ]),
  StartedAt: optional(text),
  CompletedAt: optional(text),
  Message: optional(text)
})
export type UpdateStatus = typeof UpdateStatus.Type

/** What the allocator gave a service. `Addr` is a CIDR. */
export const Endpoint = Schema.Struct({
  Spec: optional(EndpointSpec),
  Ports: optional(Schema.Array(PortConfig)),
  VirtualIPs: optional(Schema.Array(Schema.Struct({ NetworkID: text, Addr: text })))
})
export type Endpoint = typeof Endpoint.Type

export const Service = Schema.Struct({
  ...Meta,
  Spec: ServiceSpec,
  /** 1 at first, then the entry of the last change of the task template or of networks; tasks point at it. */
  SpecVersion: whole,
  PreviousSpec: optional(ServiceSpec),
  PreviousSpecVersion: optional(whole),
  Endpoint: optional(Endpoint),
  UpdateStatus: optional(UpdateStatus),
  JobStatus: optional(Schema.Struct({ JobIteration: Version, LastExecution: optional(text) })),
  /** The registry credentials of `X-Registry-Auth`, sent to nodes, never returned. */
  RegistryAuth: optional(text),
  PreviousRegistryAuth: optional(text)
})
export type Service = typeof Service.Type

export const NodeResources = Schema.Struct({
  NanoCPUs: whole,
  MemoryBytes: whole,
  GenericResources: optional(Schema.Array(GenericResource))
})
export type NodeResources = typeof NodeResources.Type

/** A public key (base64) that the node is known by to others in one epoch of the cluster, and its UDP port. */
export const TunnelKey = Schema.Struct({ Epoch: whole, PublicKey: text, Port: whole })
export type TunnelKey = typeof TunnelKey.Type

/** Keys that a node has now, by epoch; or why it can have none. */
export const WireGuard = Schema.Struct({ Keys: Schema.Array(TunnelKey), Refusal: optional(text) })
export type WireGuard = typeof WireGuard.Type

export const NodeDescription = Schema.Struct({
  Hostname: text,
  Platform: Platform,
  Resources: NodeResources,
  Engine: Schema.Struct({
    EngineVersion: text,
    Labels: optional(Labels),
    Plugins: optional(Schema.Array(Schema.Struct({ Type: text, Name: text })))
  }),
  TLSInfo: optional(Schema.Struct({ TrustRoot: text, CertIssuerSubject: text, CertIssuerPublicKey: text })),
  /** Its plugins for cluster volumes, and what each knows the node by. */
  CSIInfo: optional(
    Schema.Array(
      Schema.Struct({
        PluginName: text,
        NodeID: text,
        MaxVolumesPerNode: optional(whole),
        AccessibleTopology: optional(Topology)
      })
    )
  ),
  /** Which executor runs tasks there: `docker` or `process`. */
  Executor: optional(text),
  /** The newest entries of the log that it understands; 1 where it does not say. See `Cluster.FeatureLevel`. */
  FeatureLevel: optional(whole),
  /** Where VXLAN packets reach it, where that is not its address. */
  DataPath: optional(text),
  /** Its HTTP entrance answers by TLS, and so needs the certificates of services' hosts. */
  TlsEntrance: optional(Schema.Literal(true)),
  /** What encrypted overlays are carried by from there; absent where it is of a release that carries none. */
  WireGuard: optional(WireGuard)
})
export type NodeDescription = typeof NodeDescription.Type

export const NodeStatus = Schema.Struct({
  State: Schema.Literals(["unknown", "down", "ready", "disconnected"]),
  Message: optional(text),
  Addr: optional(text)
})
export type NodeStatus = typeof NodeStatus.Type

/** A node's own addresses on one overlay, without prefix length, one per subnet: its bridge's. */
export const Gateway = Schema.Struct({ NetworkID: text, Addresses: Schema.Array(text) })
export type Gateway = typeof Gateway.Type

/** A container beside all tasks that people attached to a network, with the addresses that it was given; without prefix length. */
export const Attached = Schema.Struct({
  ID: text,
  NetworkID: text,
  /** The container's name, by which it is found on the network, and others like it. */
  Name: text,
  Aliases: optional(Schema.Array(text)),
  Addresses: Schema.Array(text)
})
export type Attached = typeof Attached.Type

/** Tokens that open a manager's HTTP door, by the SHA-256 of each, and sessions that ended there before their time (ms since the epoch). */
export const Access = Schema.Struct({
  Tokens: Schema.Array(Schema.Struct({ Name: text, Role: text, Digest: text })),
  Ended: Schema.Array(Schema.Struct({ ID: text, Until: whole }))
})
export type Access = typeof Access.Type

export const Node = Schema.Struct({
  ...Meta,
  Spec: NodeSpec,
  Description: optional(NodeDescription),
  Status: NodeStatus,
  ManagerStatus: optional(
    Schema.Struct({
      Leader: optional(truth),
      Reachability: Schema.Literals(["unknown", "unreachable", "reachable"]),
      Addr: text,
      Ports: optional(ManagerPorts),
      /** Its name among the members of the Raft group, for the life of its log; the node's own id where absent. */
      RaftId: optional(text)
    })
  ),
  /** Public keys of its connections to NATS, for renewal and for shutting it out. */
  Keys: optional(NatsKeys),
  /** When the leader last heard of it (RFC 3339), replicated so that a new leader goes on from there. */
  LastSeen: optional(text),
  /** On every overlay that it takes part in. */
  Gateways: optional(Schema.Array(Gateway)),
  /** Containers that are no tasks. */
  Attached: optional(Schema.Array(Attached)),
  /** Of a manager, for the others. */
  Access: optional(Access)
})
export type Node = typeof Node.Type

export const Network = Schema.Struct({
  ...Meta,
  Name: text,
  Driver: text,
  Scope: Schema.Literal("swarm"),
  Internal: truth,
  Attachable: truth,
  Ingress: truth,
  EnableIPv6: truth,
  /** What was asked for, and after allotment what was given: subnet and gateway. */
  IPAM: Ipam,
  Options: Labels,
  Labels: Labels,
  /** VXLAN network id; absent until allotted. */
  Vni: optional(whole)
})
export type Network = typeof Network.Type

export const Secret = Schema.Struct({ ...Meta, Spec: SecretSpec })
export type Secret = typeof Secret.Type

export const Config = Schema.Struct({ ...Meta, Spec: ConfigSpec })
export type Config = typeof Config.Type

/** How far a volume has come on its way to a node, or back; in this order. */
export const publishStates = [
  "pending-publish",
  "published",
  "pending-node-unpublish",
  "pending-controller-unpublish"
] as const
export type PublishState = (typeof publishStates)[number]

export const PublishStatus = Schema.Struct({
  NodeID: text,
  State: Schema.Literals(publishStates),
  /** What the plugin's controller says to the plugin on the node. */
  PublishContext: optional(Labels),
  /** What the plugin knows the node by; it may have forgotten, and the node be gone, when the volume is taken back. */
  PluginNode: optional(text)
})
export type PublishStatus = typeof PublishStatus.Type

/** What the plugin says of a volume that it has made. */
export const VolumeInfo = Schema.Struct({
  VolumeID: text,
  CapacityBytes: whole,
  VolumeContext: Labels,
  AccessibleTopology: Schema.Array(Topology)
})
export type VolumeInfo = typeof VolumeInfo.Type

/** A cluster volume: made by a CSI plugin, and published to the nodes whose tasks use it. */
export const Volume = Schema.Struct({
  ...Meta,
  Spec: VolumeSpec,
  /** Absent until the plugin has made it. */
  Info: optional(VolumeInfo),
  PublishStatus: Schema.Array(PublishStatus),
  /** It is removed as soon as the plugin has deleted it; nobody may use it any more. */
  PendingDelete: optional(Schema.Literal(true))
})
export type Volume = typeof Volume.Type

/** Something that is wrong, as people were told of it; see `actors/alerts`. */
export const ToldAlert = Schema.Struct({
  condition: text,
  kind: text,
  id: text,
  name: text,
  says: text,
  /** Milliseconds since the epoch. */
  since: whole
})
export type ToldAlert = typeof ToldAlert.Type

export const Cluster = Schema.Struct({
  ...Meta,
  Spec: SwarmSpec,
  RootRotationInProgress: truth,
  DefaultAddrPool: Schema.Array(text),
  SubnetSize: whole,
  DataPathPort: whole,
  JoinTokens: Schema.Struct({ Worker: text, Manager: text }),
  /** Of the Raft group, the first where absent: see `cluster.refound`. */
  Incarnation: optional(Incarnation),
  /** The least of its members' feature levels; an entry of a higher level is refused. */
  FeatureLevel: whole,
  /** What certificates are signed by: secrets. Absent in clusters founded before there were any. */
  Roots: optional(Roots),
  /** What people unlock managers with: a secret. Absent where they do not lock themselves. */
  UnlockKey: optional(text),
  /** Which keys encrypted overlays go by; absent before they were changed for the first time. See `network-keys.ts`. */
  NetworkKeys: optional(
    Schema.Struct({
      Epoch: whole,
      /** RFC 3339 */
      Since: text,
      /** What the label that asks for a change said then. */
      Asked: optional(text)
    })
  ),
  /** What people were told of and not yet that it ended, so that a new leader goes on from there. */
  Alerts: optional(Schema.Array(ToldAlert))
})
export type Cluster = typeof Cluster.Type
