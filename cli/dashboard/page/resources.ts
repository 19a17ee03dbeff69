/** Networks, volumes, secrets and configs: what the API tells of them, who uses each, and the commands that do the same. */
import { quoted } from "#actors/model/shell-word.ts"
import { many, showLabels } from "./describe.ts"
import { flags, linesOf, recordOf } from "./lines.ts"
import type { Service } from "./objects.ts"
import { showBytes } from "./service-draft.ts"

export const kinds = ["network", "volume", "secret", "config"] as const
export type Kind = (typeof kinds)[number]
export const isKind = (text: string): text is Kind => kinds.some((kind) => kind === text)

type Labels = Readonly<Record<string, string>> | null

/** What of them all pages need. */
export interface Resource {
  readonly kind: Kind
  readonly id: string
  readonly name: string
  /** ISO 8601; absent where nobody says it. */
  readonly at?: string
  /** A few words for a list. */
  readonly about: string
  readonly facts: ReadonlyArray<readonly [name: string, value: string]>
  /** What a config holds; nobody is told what a secret does. */
  readonly text?: string
  /** Made by the Engine or the cluster for itself. */
  readonly isOwn: boolean
  /** Of one node. */
  readonly isLocal: boolean
  /** The network that ports are published by. */
  readonly isMesh: boolean
  /** Of a volume, where it is asked for by its group. */
  readonly group: string
  /** Of a volume that a plugin keeps for the cluster. */
  readonly cluster?: ClusterVolume
}

export const availabilities = ["active", "pause", "drain"] as const
export type Availability = (typeof availabilities)[number]

interface ClusterVolume {
  readonly availability: string
  /** As `docker volume ls --cluster` has it. */
  readonly status: string
  readonly published: ReadonlyArray<{ readonly NodeID: string; readonly State: string }>
}

interface ApiNetwork {
  readonly Id: string
  readonly Name: string
  readonly Created: string
  readonly Scope: string
  readonly Driver: string
  readonly Internal: boolean
  readonly Attachable: boolean
  readonly Ingress: boolean
  readonly EnableIPv6: boolean
  readonly IPAM: {
    readonly Config?: ReadonlyArray<{ readonly Subnet?: string; readonly Gateway?: string }> | null
  }
  readonly Options: Labels
  readonly Labels: Labels
}
interface ApiVolume {
  readonly Name: string
  readonly Driver: string
  readonly CreatedAt?: string
  readonly Mountpoint?: string
  readonly Labels: Labels
  readonly Options: Labels
  readonly ClusterVolume?: ApiClusterVolume
}
interface ApiClusterVolume {
  readonly ID: string
  readonly Spec: {
    readonly Group?: string
    readonly Availability?: string
    readonly AccessMode?: {
      readonly Scope?: string
      readonly Sharing?: string
      readonly BlockVolume?: object
    }
  }
  /** Absent until its plugin has made it. */
  readonly Info?: {
    readonly VolumeID?: string
    readonly CapacityBytes?: number
    readonly AccessibleTopology?: ReadonlyArray<{ readonly Segments?: Labels }> | null
  }
  readonly PublishStatus?: ClusterVolume["published"] | null
}
interface ApiFile {
  readonly ID: string
  readonly CreatedAt: string
  readonly UpdatedAt: string
  readonly Spec: {
    readonly Name: string
    readonly Labels: Labels
    readonly Data?: string
    readonly Driver?: { readonly Name: string }
    readonly Templating?: { readonly Name: string }
  }
}

export const pathOf: Readonly<Record<Kind, string>> = {
  network: "/networks",
  volume: "/volumes",
  secret: "/secrets",
  config: "/configs"
}

const yes = (is: boolean): string => (is ? "yes" : "")
const shown = (labels: Labels): string => showLabels(labels ?? {})
const scope = (isLocal: boolean): string => (isLocal ? "this node" : "the whole cluster")
const vxlan = "com.docker.network.driver.overlay.vxlanid_list"
const predefined = ["bridge", "host", "none", "docker_gwbridge"]

const readNetwork = (network: ApiNetwork): Resource => {
  const {
    Id,
    Name,
    Created,
    Scope,
    Driver,
    Internal,
    Attachable,
    Ingress,
    EnableIPv6,
    IPAM,
    Options,
    Labels
  } = network
  const isLocal = Scope !== "swarm"
  const subnets = (IPAM.Config ?? []).map(({ Subnet }) => Subnet ?? "").join(", ")
  return {
    kind: "network",
    id: Id,
    name: Name,
    at: Created,
    about: [Driver, isLocal ? "this node's" : "", subnets].filter((word) => word !== "").join(", "),
    facts: [
      ["Driver", Driver],
      ["Scope", scope(isLocal)],
      ["Subnets", subnets],
      ["Gateways", (IPAM.Config ?? []).map(({ Gateway }) => Gateway ?? "").join(", ")],
      ["IPv6", yes(EnableIPv6)],
      ["Internal", yes(Internal)],
      ["Attachable", yes(Attachable)],
      ["Routing mesh", yes(Ingress)],
      ["Encrypted", yes(Object.hasOwn(Options ?? {}, "encrypted"))],
      ["VXLAN", Options?.[vxlan] ?? ""],
      ["Options", shown(Object.fromEntries(Object.entries(Options ?? {}).filter(([key]) => key !== vxlan)))],
      ["Labels", shown(Labels)]
    ],
    isOwn: Ingress || predefined.includes(Name),
    isLocal,
    isMesh: Ingress,
    group: ""
  }
}

const statusOf = ({ Info, PublishStatus }: ApiClusterVolume): string => {
  const { length } = PublishStatus ?? []
  if ((Info?.VolumeID ?? "") === "") return "pending creation"
  return length === 0 ? "created" : `in use (${many(length, "node")})`
}

const factsOfCluster = (volume: ApiClusterVolume): Resource["facts"] => {
  const { Group = "", Availability = "", AccessMode: { Scope, Sharing, BlockVolume } = {} } = volume.Spec
  const { CapacityBytes = 0, AccessibleTopology } = volume.Info ?? {}
  return [
    ["Status", statusOf(volume)],
    ["Availability", Availability],
    ["Group", Group],
    ["Used as", BlockVolume === undefined ? "a folder" : "a block device"],
    ["On", Scope === "multi" ? "several nodes at a time" : "one node at a time"],
    ["Shared by", sharers[Sharing ?? ""] ?? ""],
    ["Capacity", showBytes(CapacityBytes)],
    ["Accessible from", (AccessibleTopology ?? []).map(({ Segments }) => shown(Segments ?? {})).join(" or ")]
  ]
}
const sharers: Readonly<Record<string, string>> = {
  none: "no two tasks",
  readonly: "tasks that read",
  onewriter: "one task that writes, others that read",
  all: "all tasks"
}

const readVolume = ({
  Name,
  Driver,
  CreatedAt,
  Mountpoint,
  Labels,
  Options,
  ClusterVolume
}: ApiVolume): Resource => ({
  kind: "volume",
  // The Engine may have one of its name.
  id: ClusterVolume?.ID ?? Name,
  name: Name,
  ...(CreatedAt !== undefined && { at: CreatedAt }),
  about:
    ClusterVolume === undefined
      ? `${Driver}, this node's`
      : `${Driver}, the cluster's, ${ClusterVolume.Spec.Availability}, ${statusOf(ClusterVolume)}`,
  facts: [
    ["Driver", Driver],
    ["Scope", scope(ClusterVolume === undefined)],
    ["Where", Mountpoint ?? ""],
    ...(ClusterVolume === undefined ? [] : factsOfCluster(ClusterVolume)),
    ["Options", shown(Options)],
    ["Labels", shown(Labels)]
  ],
  isOwn: false,
  isLocal: ClusterVolume === undefined,
  isMesh: false,
  group: ClusterVolume?.Spec.Group ?? "",
  ...(ClusterVolume !== undefined && {
    cluster: {
      availability: ClusterVolume.Spec.Availability ?? "",
      status: statusOf(ClusterVolume),
      published: ClusterVolume.PublishStatus ?? []
    }
  })
})

const decoder = new TextDecoder()
const fromBase64 = (data: string): string =>
  decoder.decode(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)))
export const toBase64 = (text: string): string =>
  btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""))

const readFile =
  (kind: "secret" | "config") =>
  ({ ID, CreatedAt, UpdatedAt, Spec }: ApiFile): Resource => {
    const { Name, Labels, Data = "", Driver, Templating } = Spec
    const text = fromBase64(Data)
    return {
      kind,
      id: ID,
      name: Name,
      at: CreatedAt,
      about: kind === "config" ? `${text.length} characters` : (Driver?.Name ?? ""),
      facts: [
        ["Driver", Driver?.Name ?? ""],
        ["Template", Templating?.Name ?? ""],
        ["Changed", UpdatedAt === CreatedAt ? "" : new Date(UpdatedAt).toLocaleString()],
        ["Labels", shown(Labels)]
      ],
      ...(kind === "config" && { text }),
      isOwn: false,
      isLocal: false,
      isMesh: false,
      group: ""
    }
  }

/** What a list of the API holds, by name. */
export function readResources(kind: Kind, body: unknown): ReadonlyArray<Resource> {
  const all =
    kind === "network"
      ? (body as ReadonlyArray<ApiNetwork>).map(readNetwork)
      : kind === "volume"
        ? ((body as { readonly Volumes: ReadonlyArray<ApiVolume> | null }).Volumes ?? []).map(readVolume)
        : (body as ReadonlyArray<ApiFile>).map(readFile(kind))
  return [...all].sort(
    (a, b) => Number(a.isOwn) - Number(b.isOwn) || a.name.localeCompare(b.name, "en", { numeric: true })
  )
}

/** As much of a service's spec as says what it uses. */
interface Uses {
  readonly TaskTemplate: {
    readonly ContainerSpec?: {
      readonly Secrets?: ReadonlyArray<{ readonly SecretID?: string }>
      readonly Configs?: ReadonlyArray<{ readonly ConfigID?: string }>
      readonly Mounts?: ReadonlyArray<{ readonly Type?: string; readonly Source?: string }>
    }
    readonly Networks?: ReadonlyArray<{ readonly Target: string }>
  }
  readonly Networks?: ReadonlyArray<{ readonly Target: string }>
}

export function isUsedBy(
  { kind, id, name, isMesh, isLocal, group }: Resource,
  { Spec, Endpoint }: Service
): boolean {
  const { TaskTemplate, Networks = [] } = Spec as typeof Spec & Uses
  const {
    Secrets = [],
    Configs = [],
    Mounts = []
  } = (TaskTemplate as Uses["TaskTemplate"]).ContainerSpec ?? {}
  switch (kind) {
    case "network":
      if (isMesh) return (Endpoint?.Ports ?? []).some((port) => (port.PublishMode ?? "ingress") === "ingress")
      return [...(TaskTemplate.Networks ?? []), ...Networks].some(
        ({ Target }) => Target === id || Target === name
      )
    case "volume":
      return Mounts.some(
        ({ Type, Source = "" }) =>
          Type === (isLocal ? "volume" : "cluster") &&
          (Source === name || (group !== "" && Source === `group:${group}`))
      )
    case "secret":
      return Secrets.some(({ SecretID }) => SecretID === id)
    case "config":
      return Configs.some(({ ConfigID }) => ConfigID === id)
  }
}

/** What somebody fills in to make one. Labels and options are lines of `KEY=VALUE`. */
export interface Draft {
  readonly name: string
  readonly labels: string
  /** Of networks. */
  readonly subnet: string
  readonly attachable: boolean
  readonly internal: boolean
  readonly encrypted: boolean
  /** Of volumes. */
  readonly driver: string
  readonly options: string
  /** Of secrets and configs. */
  readonly text: string
}
export const emptyDraft: Draft = {
  name: "",
  labels: "",
  subnet: "",
  attachable: false,
  internal: false,
  encrypted: false,
  driver: "",
  options: "",
  text: ""
}

export function bodyOf(kind: Kind, draft: Draft): object {
  const { name, subnet, attachable, internal, encrypted, driver, text } = draft
  const Labels = recordOf(draft.labels)
  if (kind === "network")
    return {
      Name: name,
      Driver: "overlay",
      Scope: "swarm",
      CheckDuplicate: true,
      Attachable: attachable,
      Internal: internal,
      Options: encrypted ? { encrypted: "" } : {},
      IPAM: { Driver: "default", Config: subnet.trim() === "" ? [] : [{ Subnet: subnet.trim() }] },
      Labels
    }
  if (kind === "volume")
    return { Name: name, Driver: driver || "local", DriverOpts: recordOf(draft.options), Labels }
  return { Name: name, Data: toBase64(text), Labels }
}

export function commandOf(kind: Kind, draft: Draft): string {
  const { name, labels, subnet, attachable, internal, encrypted, driver, options } = draft
  const said = quoted(name || "NAME")
  if (kind === "network")
    return [
      "docker network create --driver overlay",
      ...(subnet.trim() === "" ? [] : ["--subnet", quoted(subnet.trim())]),
      ...(attachable ? ["--attachable"] : []),
      ...(internal ? ["--internal"] : []),
      ...(encrypted ? ["--opt encrypted"] : []),
      ...flags("--label", linesOf(labels)),
      said
    ].join(" ")
  if (kind === "volume")
    return [
      "docker volume create",
      ...(driver === "" ? [] : ["--driver", quoted(driver)]),
      ...flags("--opt", linesOf(options)),
      ...flags("--label", linesOf(labels)),
      said
    ].join(" ")
  // The contents are in no command: a shell would remember them.
  return [`docker ${kind} create`, ...flags("--label", linesOf(labels)), said, "FILE"].join(" ")
}
