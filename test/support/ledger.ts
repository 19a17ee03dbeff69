/** A ledger without a log: commands are applied at once, one entry each. */
import { apply, type Result } from "#actors/ledger/apply.ts"
import type { Command, NewTask } from "#actors/ledger/commands.ts"
import type { ChangeSet } from "#actors/ledger/reader.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import type { Node, PublishState, Service, Volume } from "#actors/model/objects.ts"
import type { ServiceSpec, VolumeSpec } from "#actors/model/spec.ts"

type ClusterCreate = Extract<Command, { type: "cluster.create" }>

/** The first entry of a cluster: `nodeId` is its manager, and runs no tasks. */
export const foundCluster = (
  cluster: Partial<ClusterCreate["cluster"]> = {},
  nodeId = "manager"
): ClusterCreate => ({
  type: "cluster.create",
  v: 1,
  cluster: {
    ID: "cluster",
    Spec: {},
    RootRotationInProgress: false,
    DefaultAddrPool: ["10.0.0.0/8"],
    SubnetSize: 24,
    DataPathPort: 4789,
    JoinTokens: { Worker: "w", Manager: "m" },
    FeatureLevel: 1,
    ...cluster
  },
  node: { ID: nodeId, Spec: { Role: "manager", Availability: "drain" }, Status: { State: "ready" } }
})

export class Book {
  readonly tables = new LedgerTables()
  time = 1_700_000_000_000
  #seq = 0

  /** Applies one command and returns how it ended. */
  write(command: Command): Result {
    this.#seq += 1
    return apply(this.tables, this.tables.index + 1, {
      command,
      proposer: "test",
      boot: "b",
      seq: this.#seq,
      who: "test",
      why: "test",
      // As a leader writes it, whose clock may be set back.
      time: Math.max(this.time, this.tables.time)
    })
  }

  /** Applies one command that must not be refused. */
  must(command: Command): Result {
    const result = this.write(command)
    if (result._tag === "Refused") throw new Error(`${command.type}: ${result.refusal.message}`)
    return result
  }

  changes(): ChangeSet {
    return this.tables.takeChanges()
  }

  cluster(extra: Partial<ClusterCreate["cluster"]> = {}): this {
    this.must(foundCluster(extra))
    return this
  }

  node(id: string, extra: Partial<Omit<Node, "ID" | "Version">> = {}): this {
    this.must({
      type: "node.register",
      v: 1,
      node: {
        ID: id,
        Spec: { Role: "worker", Availability: "active" },
        Status: { State: "ready", Addr: "192.168.0.1" },
        Description: {
          Hostname: id,
          Platform: { OS: "linux", Architecture: "x86_64" },
          Resources: { NanoCPUs: 4e9, MemoryBytes: 8e9 },
          Engine: { EngineVersion: "20.10.24" }
        },
        ...extra
      }
    })
    return this
  }

  network(id: string, name = id, extra: Record<string, unknown> = {}): this {
    this.must({
      type: "network.create",
      v: 1,
      network: {
        ID: id,
        Name: name,
        Driver: "overlay",
        Scope: "swarm",
        Internal: false,
        Attachable: false,
        Ingress: false,
        EnableIPv6: false,
        IPAM: { Driver: "default" },
        Options: {},
        Labels: {},
        ...extra
      }
    })
    return this
  }

  /** A volume of the plugin `folders`, made already; `spec` says what is special about it. */
  volume(name: string, spec: Partial<VolumeSpec> = {}, extra: Partial<Volume> = {}): this {
    const usual = {
      Name: name,
      Labels: {},
      Driver: { Name: "folders" },
      Group: "",
      AccessMode: { Scope: "single", Sharing: "all", MountVolume: {} },
      Secrets: [],
      Availability: "active"
    } as const
    const Info = { VolumeID: name, CapacityBytes: 0, VolumeContext: {}, AccessibleTopology: [] }
    this.must({
      type: "volume.create",
      v: 1,
      volume: { ID: name, Spec: { ...usual, ...spec }, Info, PublishStatus: [], ...extra }
    })
    return this
  }

  /** Where the volume is published, as `node: state`. */
  publishedTo(volume: string): ReadonlyArray<string> {
    return (this.tables.get("volume", volume)?.PublishStatus ?? []).map(
      ({ NodeID, State }) => `${NodeID}: ${State}`
    )
  }

  /** A step of a volume on a node. */
  step(id: string, node: string, state: PublishState | "unpublished"): Result {
    return this.write({ type: "volume.observe", v: 1, volumes: [{ id, nodes: [{ node, state }] }] })
  }

  setAvailability(id: string, availability: VolumeSpec["Availability"]): this {
    const version = this.tables.get("volume", id)?.Version.Index ?? 0
    this.must({ type: "volume.update", v: 1, id, version, availability })
    return this
  }

  service(id: string, spec: ServiceSpec = {}): Service {
    this.must({
      type: "service.create",
      v: 1,
      service: { ID: id, SpecVersion: 1, Spec: { Name: id, ...spec } }
    })
    const service = this.tables.get("service", id)
    if (service === undefined) throw new Error(`no service ${id}`)
    return service
  }

  tasks(serviceId: string, count: number, extra: Partial<NewTask> = {}): ReadonlyArray<string> {
    const service = this.tables.get("service", serviceId)
    const ids = Array.from({ length: count }, (_, at) => `${serviceId}-t${this.#seq}-${at + 1}`)
    this.must({
      type: "tasks.change",
      v: 1,
      create: ids.map((ID, at) => ({
        ID,
        ServiceID: serviceId,
        SpecVersion: service?.SpecVersion ?? 1,
        Slot: at + 1,
        Status: { Timestamp: "", State: "pending" as const },
        DesiredState: "running" as const,
        ...extra
      })),
      update: [],
      remove: []
    })
    return ids
  }
}
