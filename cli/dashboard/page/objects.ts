/** Nodes, services and tasks as the gateway tells them to pages. */

export interface Node {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: {
    readonly Role: string
    readonly Availability: string
    readonly Name?: string
    readonly Labels?: Readonly<Record<string, string>>
  }
  readonly Description?: {
    readonly Hostname?: string
    readonly Platform?: { readonly OS?: string; readonly Architecture?: string }
    readonly Resources?: { readonly NanoCPUs?: number; readonly MemoryBytes?: number }
    readonly Engine?: { readonly EngineVersion?: string }
  }
  readonly Status: { readonly State?: string; readonly Addr?: string; readonly Message?: string }
  readonly ManagerStatus?: { readonly Leader?: boolean; readonly Reachability?: string }
}

export interface ServiceSpec {
  readonly Name: string
  readonly Labels?: Readonly<Record<string, string>>
  readonly Mode: {
    readonly Replicated?: { readonly Replicas?: number }
    readonly Global?: object
    readonly ReplicatedJob?: { readonly TotalCompletions?: number; readonly MaxConcurrent?: number }
    readonly GlobalJob?: object
  }
  readonly TaskTemplate: {
    readonly ForceUpdate?: number
    readonly ContainerSpec?: { readonly Image?: string }
    readonly Placement?: object
    readonly Networks?: ReadonlyArray<{ readonly Target: string }>
  }
}

export interface Service {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly UpdatedAt: string
  readonly Spec: ServiceSpec
  readonly PreviousSpec?: ServiceSpec
  /** Of jobs: how often it was begun, and when last. */
  readonly JobStatus?: {
    readonly JobIteration?: { readonly Index?: number }
    readonly LastExecution?: string
  }
  readonly Endpoint?: {
    readonly Ports?: ReadonlyArray<{
      readonly PublishedPort?: number
      readonly TargetPort: number
      readonly Protocol?: string
      readonly PublishMode?: string
    }>
  }
  readonly UpdateStatus?: {
    readonly State?: string
    readonly Message?: string
    readonly StartedAt?: string
    readonly CompletedAt?: string
  }
}

export interface Task {
  readonly ID: string
  readonly Name: string
  readonly ServiceID: string
  readonly NodeID: string
  readonly Slot: number
  readonly State: string
  readonly Desired: string
  readonly At: string
  readonly Says: string
  /** It says what went wrong. */
  readonly IsUnwell: boolean
  readonly SpecVersion: number
  /** Ids of the cluster's volumes that it was given. */
  readonly Volumes?: ReadonlyArray<string>
}
