/**
 * The fields of the Engine's types, in the order of its JSON.
 *
 * Source: the types package of Engine 28.2 as its recorded answers show it (`test/conformance/fixtures/`).
 */
import {
  always,
  filled,
  type Layout,
  list,
  object,
  orNull,
  part,
  present
} from "#actors/gateway/shape/render.ts"

const driver: Layout = [
  ["Name", filled],
  ["Options", filled]
]

const file: Layout = [
  ["Name", always("")],
  ["UID", always("")],
  ["GID", always("")],
  ["Mode", always(0)]
]

const mount: Layout = [
  ["Type", filled],
  ["Source", filled],
  ["Target", filled],
  ["ReadOnly", filled],
  ["Consistency", filled],
  [
    "BindOptions",
    object([
      ["Propagation", filled],
      ["NonRecursive", filled],
      ["CreateMountpoint", filled],
      ["ReadOnlyNonRecursive", filled],
      ["ReadOnlyForceRecursive", filled]
    ])
  ],
  [
    "VolumeOptions",
    object([
      ["NoCopy", filled],
      ["Labels", filled],
      ["Subpath", filled],
      ["DriverConfig", object(driver)]
    ])
  ],
  ["ImageOptions", object([["Subpath", filled]])],
  [
    "TmpfsOptions",
    object([
      ["SizeBytes", filled],
      ["Mode", filled],
      ["Options", filled]
    ])
  ],
  ["ClusterOptions", present]
]

const privileges: Layout = [
  [
    "CredentialSpec",
    orNull([
      ["Config", always("")],
      ["File", always("")],
      ["Registry", always("")]
    ])
  ],
  [
    "SELinuxContext",
    orNull([
      ["Disable", always(false)],
      ["User", always("")],
      ["Role", always("")],
      ["Type", always("")],
      ["Level", always("")]
    ])
  ],
  [
    "Seccomp",
    object([
      ["Mode", filled],
      ["Profile", filled]
    ])
  ],
  ["AppArmor", object([["Mode", filled]])],
  ["NoNewPrivileges", always(false)]
]

const container: Layout = [
  ["Image", filled],
  ["Labels", filled],
  ["Command", filled],
  ["Args", filled],
  ["Hostname", filled],
  ["Env", filled],
  ["Dir", filled],
  ["User", filled],
  ["Groups", filled],
  ["Privileges", object(privileges)],
  ["Init", present],
  ["StopSignal", filled],
  ["TTY", filled],
  ["OpenStdin", filled],
  ["ReadOnly", filled],
  ["Mounts", list(mount)],
  ["StopGracePeriod", present],
  [
    "Healthcheck",
    object([
      ["Test", filled],
      ["Interval", filled],
      ["Timeout", filled],
      ["StartPeriod", filled],
      ["StartInterval", filled],
      ["Retries", filled]
    ])
  ],
  ["Hosts", filled],
  [
    "DNSConfig",
    object([
      ["Nameservers", filled],
      ["Search", filled],
      ["Options", filled]
    ])
  ],
  [
    "Secrets",
    list([
      ["File", object(file)],
      ["SecretID", always("")],
      ["SecretName", always("")]
    ])
  ],
  [
    "Configs",
    list([
      ["File", object(file)],
      ["Runtime", present],
      ["ConfigID", always("")],
      ["ConfigName", always("")]
    ])
  ],
  ["Isolation", filled],
  ["Sysctls", filled],
  ["CapabilityAdd", filled],
  ["CapabilityDrop", filled],
  [
    "Ulimits",
    list([
      ["Name", always("")],
      ["Hard", always(0)],
      ["Soft", always(0)]
    ])
  ],
  ["OomScoreAdj", filled]
]

export const genericResource: Layout = [
  [
    "NamedResourceSpec",
    object([
      ["Kind", filled],
      ["Value", filled]
    ])
  ],
  [
    "DiscreteResourceSpec",
    object([
      ["Kind", filled],
      ["Value", filled]
    ])
  ]
]

const platform: Layout = [
  ["Architecture", filled],
  ["OS", filled]
]

const networks = list([
  ["Target", filled],
  ["Aliases", filled],
  ["DriverOpts", filled]
])

export const taskTemplate: Layout = [
  ["ContainerSpec", object(container)],
  ["PluginSpec", present],
  ["NetworkAttachmentSpec", present],
  [
    "Resources",
    object([
      [
        "Limits",
        object([
          ["NanoCPUs", filled],
          ["MemoryBytes", filled],
          ["Pids", filled]
        ])
      ],
      [
        "Reservations",
        object([
          ["NanoCPUs", filled],
          ["MemoryBytes", filled],
          ["GenericResources", list(genericResource)]
        ])
      ],
      ["SwapBytes", present],
      ["MemorySwappiness", present]
    ])
  ],
  [
    "RestartPolicy",
    object([
      ["Condition", filled],
      ["Delay", present],
      ["MaxAttempts", present],
      ["Window", present]
    ])
  ],
  [
    "Placement",
    object([
      ["Constraints", filled],
      ["Preferences", list([["Spread", object([["SpreadDescriptor", always("")]])]])],
      ["MaxReplicas", filled],
      ["Platforms", list(platform)]
    ])
  ],
  ["Networks", networks],
  ["LogDriver", object(driver)],
  ["ForceUpdate", always(0)],
  ["Runtime", filled]
]

const updateConfig: Layout = [
  ["Parallelism", always(0)],
  ["Delay", filled],
  ["FailureAction", filled],
  ["Monitor", filled],
  ["MaxFailureRatio", always(0)],
  ["Order", always("")]
]

const port: Layout = [
  ["Name", filled],
  ["Protocol", filled],
  ["TargetPort", filled],
  ["PublishedPort", filled],
  ["PublishMode", filled]
]
export const ports = list(port)

export const endpointSpec: Layout = [
  ["Mode", filled],
  ["Ports", ports]
]

export const serviceSpec: Layout = [
  ["Name", filled],
  ["Labels", always({})],
  ["TaskTemplate", part(taskTemplate)],
  [
    "Mode",
    part([
      ["Replicated", object([["Replicas", present]])],
      ["Global", object([])],
      [
        "ReplicatedJob",
        object([
          ["MaxConcurrent", present],
          ["TotalCompletions", present]
        ])
      ],
      ["GlobalJob", object([])]
    ])
  ],
  ["UpdateConfig", object(updateConfig)],
  ["RollbackConfig", object(updateConfig)],
  ["Networks", networks],
  ["EndpointSpec", object(endpointSpec)]
]

export const nodeSpec: Layout = [
  ["Name", filled],
  ["Labels", always({})],
  ["Role", filled],
  ["Availability", filled]
]

export const nodeDescription: Layout = [
  ["Hostname", filled],
  ["Platform", part(platform)],
  [
    "Resources",
    part([
      ["NanoCPUs", filled],
      ["MemoryBytes", filled],
      ["GenericResources", list(genericResource)]
    ])
  ],
  [
    "Engine",
    part([
      ["EngineVersion", filled],
      ["Labels", filled],
      [
        "Plugins",
        list([
          ["Type", filled],
          ["Name", filled]
        ])
      ]
    ])
  ],
  [
    "TLSInfo",
    part([
      ["TrustRoot", filled],
      ["CertIssuerSubject", filled],
      ["CertIssuerPublicKey", filled]
    ])
  ],
  [
    "CSIInfo",
    list([
      ["PluginName", filled],
      ["NodeID", filled],
      ["MaxVolumesPerNode", filled],
      ["AccessibleTopology", object([["Segments", filled]])]
    ])
  ]
]

export const secretSpec: Layout = [
  ["Name", filled],
  ["Labels", always({})],
  ["Driver", object(driver)],
  ["Templating", object(driver)]
]

export const configSpec: Layout = [
  ["Name", filled],
  ["Labels", always({})],
  ["Data", filled],
  ["Templating", object(driver)]
]

export const swarmSpec: Layout = [
  ["Name", filled],
  ["Labels", always({})],
  ["Orchestration", part([["TaskHistoryRetentionLimit", present]])],
  [
    "Raft",
    part([
      ["SnapshotInterval", filled],
      ["KeepOldSnapshots", present],
      ["LogEntriesForSlowFollowers", filled],
      ["ElectionTick", always(0)],
      ["HeartbeatTick", always(0)]
    ])
  ],
  ["Dispatcher", part([["HeartbeatPeriod", filled]])],
  [
    // The signing key goes in and never comes out.
    "CAConfig",
    part([
      ["NodeCertExpiry", filled],
      ["ExternalCAs", filled],
      ["SigningCACert", filled],
      ["ForceRotate", filled]
    ])
  ],
  ["TaskDefaults", part([["LogDriver", object(driver)]])],
  ["EncryptionConfig", part([["AutoLockManagers", always(false)]])]
]

export const ipam: Layout = [
  ["Driver", always("default")],
  ["Options", { when: "null", filled: true }],
  [
    "Config",
    {
      when: "null",
      inside: [
        ["Subnet", filled],
        ["IPRange", filled],
        ["Gateway", filled],
        ["AuxiliaryAddresses", filled]
      ]
    }
  ]
]
