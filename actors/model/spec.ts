/**
 * What people ask for: the specs of the Docker API, as schemas and types in one.
 *
 * Every field is optional, as in the Engine's API, where an absent field and its zero value are one; unknown
 * fields are ignored. Durations are nanoseconds, memory is bytes, CPU is billionths of a core, as there.
 * Source: the Engine's OpenAPI file, definitions ServiceSpec, TaskSpec, NetworkCreateRequest, SwarmSpec.
 */
import { Schema } from "effect"

const text = Schema.String
const whole = Schema.Int
/** A duration, as Docker says it. What is longer than 104 days is no exact number here, and exact enough. */
const nanoseconds = Schema.Number.check(
  Schema.makeFilter((nanos: number) => Number.isInteger(nanos), {
    expected: "an integer",
    toJsonSchema: () => ({ type: "integer" })
  })
)
const truth = Schema.Boolean
const texts = Schema.Array(text)
const Labels = Schema.Record(text, text)

type Optional<Fields extends Record<string, Schema.Top>> = {
  readonly [Key in keyof Fields]: Schema.optionalKey<Fields[Key]>
}

/** A struct whose every field may be absent. */
const shape = <const Fields extends Record<string, Schema.Top>>(fields: Fields) =>
  Schema.Struct(
    Object.fromEntries(
      Object.entries(fields).map(([key, field]) => [key, Schema.optionalKey(field)])
    ) as Optional<Fields>
  )

const DriverSpec = shape({ Name: text, Options: Labels })

export const HealthConfig = shape({
  Test: texts,
  Interval: whole,
  Timeout: whole,
  StartPeriod: whole,
  StartInterval: whole,
  Retries: whole
})

export const MountSpec = shape({
  Type: Schema.Literals(["bind", "volume", "tmpfs", "npipe", "cluster", "image"]),
  Source: text,
  Target: text,
  ReadOnly: truth,
  Consistency: text,
  BindOptions: shape({
    Propagation: text,
    NonRecursive: truth,
    CreateMountpoint: truth,
    ReadOnlyNonRecursive: truth,
    ReadOnlyForceRecursive: truth
  }),
  VolumeOptions: shape({ NoCopy: truth, Labels, DriverConfig: DriverSpec, Subpath: text }),
  TmpfsOptions: shape({ SizeBytes: whole, Mode: whole, Options: Schema.Array(texts) }),
  ImageOptions: shape({ Subpath: text }),
  ClusterOptions: Schema.Unknown
})

const FileTarget = shape({ Name: text, UID: text, GID: text, Mode: whole })
export const SecretReference = shape({ SecretID: text, SecretName: text, File: FileTarget })
export const ConfigReference = shape({
  ConfigID: text,
  ConfigName: text,
  File: FileTarget,
  Runtime: Schema.Unknown
})

export const ContainerSpec = shape({
  Image: text,
  Labels,
  Command: texts,
  Args: texts,
  Hostname: text,
  Env: texts,
  Dir: text,
  User: text,
  Groups: texts,
  Privileges: shape({
    CredentialSpec: Schema.Unknown,
    SELinuxContext: shape({ Disable: truth, User: text, Role: text, Type: text, Level: text }),
    Seccomp: shape({ Mode: text, Profile: text }),
    AppArmor: shape({ Mode: text }),
    NoNewPrivileges: truth
  }),
  Init: truth,
  StopSignal: text,
  TTY: truth,
  OpenStdin: truth,
  ReadOnly: truth,
  Mounts: Schema.Array(MountSpec),
  StopGracePeriod: whole,
  Healthcheck: HealthConfig,
  Hosts: texts,
  DNSConfig: shape({ Nameservers: texts, Search: texts, Options: texts }),
  Secrets: Schema.Array(SecretReference),
  Configs: Schema.Array(ConfigReference),
  Isolation: text,
  Sysctls: Labels,
  CapabilityAdd: texts,
  CapabilityDrop: texts,
  Ulimits: Schema.Array(shape({ Name: text, Soft: whole, Hard: whole })),
  OomScoreAdj: whole
})

export const GenericResource = shape({
  NamedResourceSpec: shape({ Kind: text, Value: text }),
  DiscreteResourceSpec: shape({ Kind: text, Value: whole })
})

export const Resources = shape({
  NanoCPUs: whole,
  MemoryBytes: whole,
  Pids: whole,
  GenericResources: Schema.Array(GenericResource)
})

export const RestartPolicy = shape({
  Condition: Schema.Literals(["none", "on-failure", "any"]),
  Delay: whole,
  MaxAttempts: whole,
  Window: whole
})

export const Platform = shape({ Architecture: text, OS: text })

export const Placement = shape({
  Constraints: texts,
  Preferences: Schema.Array(shape({ Spread: shape({ SpreadDescriptor: text }) })),
  MaxReplicas: whole,
  Platforms: Schema.Array(Platform)
})

export const NetworkAttachmentConfig = shape({ Target: text, Aliases: texts, DriverOpts: Labels })

export const TaskSpec = shape({
  ContainerSpec,
  Resources: shape({ Limits: Resources, Reservations: Resources, SwapBytes: whole, MemorySwappiness: whole }),
  RestartPolicy,
  Placement,
  Networks: Schema.Array(NetworkAttachmentConfig),
  LogDriver: DriverSpec,
  ForceUpdate: whole,
  Runtime: text,
  PluginSpec: Schema.Unknown,
  NetworkAttachmentSpec: Schema.Unknown
})

export const UpdateConfig = shape({
  Parallelism: whole,
  Delay: nanoseconds,
  FailureAction: Schema.Literals(["continue", "pause", "rollback"]),
  Monitor: nanoseconds,
  MaxFailureRatio: Schema.Number,
  Order: Schema.Literals(["stop-first", "start-first"])
})

export const PortConfig = shape({
  Name: text,
  Protocol: Schema.Literals(["tcp", "udp", "sctp"]),
  TargetPort: whole,
  PublishedPort: whole,
  PublishMode: Schema.Literals(["ingress", "host"])
})

export const EndpointSpec = shape({
  Mode: Schema.Literals(["vip", "dnsrr"]),
  Ports: Schema.Array(PortConfig)
})

export const ServiceMode = shape({
  Replicated: shape({ Replicas: whole }),
  Global: shape({}),
  ReplicatedJob: shape({ MaxConcurrent: whole, TotalCompletions: whole }),
  GlobalJob: shape({})
})

export const ServiceSpec = shape({
  Name: text,
  Labels,
  TaskTemplate: TaskSpec,
  Mode: ServiceMode,
  UpdateConfig,
  RollbackConfig: UpdateConfig,
  Networks: Schema.Array(NetworkAttachmentConfig),
  EndpointSpec
})

/** As it is asked for: what is no role and no availability is refused in the Engine's words. */
export const NodeSpecRequest = shape({ Name: text, Labels, Role: text, Availability: text })
export const NodeSpec = shape({
  Name: text,
  Labels,
  Role: Schema.Literals(["worker", "manager"]),
  Availability: Schema.Literals(["active", "pause", "drain"])
})

/** The one templating driver that there is. */
export const templatingDriver = "golang"

/** `Data` is base64, as on the wire. */
export const SecretSpec = shape({
  Name: text,
  Labels,
  Data: text,
  Driver: DriverSpec,
  Templating: DriverSpec
})
/** Domains and where in them: `{"zone": "b"}`. */
export const Topology = shape({ Segments: Labels })
const AccessibilityRequirements = shape({
  Requisite: Schema.Array(Topology),
  Preferred: Schema.Array(Topology)
})
const CapacityRange = shape({ RequiredBytes: whole, LimitBytes: whole })
const MountVolume = shape({ FsType: text, MountFlags: texts })
const BlockVolume = shape({})

/** As it is asked for: what is no scope, sharing or availability is refused in the Engine's words. */
export const ClusterVolumeSpec = shape({
  Group: text,
  AccessMode: shape({
    Scope: text,
    Sharing: text,
    MountVolume,
    BlockVolume
  }),
  Secrets: Schema.Array(shape({ Key: text, Secret: text })),
  AccessibilityRequirements,
  CapacityRange,
  Availability: text
})
export const VolumeCreateRequest = shape({
  Name: text,
  Driver: text,
  DriverOpts: Labels,
  Labels,
  ClusterVolumeSpec
})
export const VolumeUpdateRequest = shape({ Spec: ClusterVolumeSpec })

/** A cluster volume as it is kept: what was asked for, whole, with secrets by their ids. */
export const VolumeSpec = Schema.Struct({
  Name: text,
  Labels,
  Driver: DriverSpec,
  Group: text,
  AccessMode: Schema.Struct({
    Scope: Schema.Literals(["single", "multi"]),
    Sharing: Schema.Literals(["none", "readonly", "onewriter", "all"]),
    MountVolume: Schema.optionalKey(MountVolume),
    BlockVolume: Schema.optionalKey(BlockVolume)
  }),
  Secrets: Schema.Array(Schema.Struct({ Key: text, Secret: text })),
  AccessibilityRequirements: Schema.optionalKey(AccessibilityRequirements),
  CapacityRange: Schema.optionalKey(CapacityRange),
  Availability: Schema.Literals(["active", "pause", "drain"])
})
export const ConfigSpec = shape({ Name: text, Labels, Data: text, Templating: DriverSpec })

export const IpamConfig = shape({ Subnet: text, IPRange: text, Gateway: text, AuxiliaryAddresses: Labels })
export const Ipam = shape({ Driver: text, Options: Labels, Config: Schema.Array(IpamConfig) })

export const NetworkCreateRequest = shape({
  Name: text,
  CheckDuplicate: truth,
  Driver: text,
  Scope: text,
  Internal: truth,
  Attachable: truth,
  Ingress: truth,
  ConfigOnly: truth,
  ConfigFrom: shape({ Network: text }),
  IPAM: Ipam,
  EnableIPv4: truth,
  EnableIPv6: truth,
  Options: Labels,
  Labels
})

/** Who signs nodes' certificates instead of the managers; `CACert` where its server's own root is another. */
export const ExternalCA = shape({
  Protocol: text,
  URL: text,
  Options: Schema.Record(text, text),
  CACert: text
})
export type ExternalCA = typeof ExternalCA.Type

export const SwarmSpec = shape({
  Name: text,
  Labels,
  Orchestration: shape({ TaskHistoryRetentionLimit: whole }),
  Raft: shape({
    SnapshotInterval: whole,
    KeepOldSnapshots: whole,
    LogEntriesForSlowFollowers: whole,
    ElectionTick: whole,
    HeartbeatTick: whole
  }),
  Dispatcher: shape({ HeartbeatPeriod: nanoseconds }),
  CAConfig: shape({
    NodeCertExpiry: nanoseconds,
    ExternalCAs: Schema.Array(ExternalCA),
    SigningCACert: text,
    SigningCAKey: text,
    ForceRotate: whole
  }),
  EncryptionConfig: shape({ AutoLockManagers: truth }),
  TaskDefaults: shape({ LogDriver: DriverSpec })
})

/** What `docker swarm init` says. Empty texts and zeros are absent, as everywhere in the Engine's API. */
export const SwarmInitRequest = shape({
  ListenAddr: text,
  AdvertiseAddr: text,
  DataPathAddr: text,
  DataPathPort: whole,
  DefaultAddrPool: texts,
  SubnetSize: whole,
  ForceNewCluster: truth,
  AutoLockManagers: truth,
  Availability: text,
  Spec: SwarmSpec
})
export const SwarmJoinRequest = shape({
  ListenAddr: text,
  AdvertiseAddr: text,
  DataPathAddr: text,
  RemoteAddrs: texts,
  JoinToken: text,
  Availability: text
})

export const SwarmUnlockRequest = shape({ UnlockKey: text })

export type SwarmInitRequest = typeof SwarmInitRequest.Type
export type SwarmJoinRequest = typeof SwarmJoinRequest.Type
export type HealthConfig = typeof HealthConfig.Type
export type MountSpec = typeof MountSpec.Type
export type SecretReference = typeof SecretReference.Type
export type ConfigReference = typeof ConfigReference.Type
export type ContainerSpec = typeof ContainerSpec.Type
export type GenericResource = typeof GenericResource.Type
export type Resources = typeof Resources.Type
export type RestartPolicy = typeof RestartPolicy.Type
export type Platform = typeof Platform.Type
export type Placement = typeof Placement.Type
export type NetworkAttachmentConfig = typeof NetworkAttachmentConfig.Type
export type TaskSpec = typeof TaskSpec.Type
export type UpdateConfig = typeof UpdateConfig.Type
export type PortConfig = typeof PortConfig.Type
export type EndpointSpec = typeof EndpointSpec.Type
export type ServiceMode = typeof ServiceMode.Type
export type ServiceSpec = typeof ServiceSpec.Type
export type NodeSpec = typeof NodeSpec.Type
export type NodeSpecRequest = typeof NodeSpecRequest.Type
export type SecretSpec = typeof SecretSpec.Type
export type ConfigSpec = typeof ConfigSpec.Type
export type IpamConfig = typeof IpamConfig.Type
export type Ipam = typeof Ipam.Type
export type NetworkCreateRequest = typeof NetworkCreateRequest.Type
export type Topology = typeof Topology.Type
export type ClusterVolumeSpec = typeof ClusterVolumeSpec.Type
export type VolumeCreateRequest = typeof VolumeCreateRequest.Type
export type VolumeSpec = typeof VolumeSpec.Type
export type SwarmSpec = typeof SwarmSpec.Type
