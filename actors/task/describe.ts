/**
 * A task as the Engine's `POST /containers/create` wants it, field by field as Swarm's own worker does.
 *
 * Fields that are absent or zero in the spec are left out, so that the Engine's and the image's defaults hold.
 */

import type { ContainerRequest } from "#actors/drivers/executor.ts"
import {
  clusterLabel,
  isTaskLabel,
  nodeLabel,
  serviceLabel,
  serviceNameLabel,
  taskLabel,
  taskNameLabel,
  volumesLabel
} from "#actors/drivers/labels.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import { type AskedExtras, askedExtras } from "#actors/model/extras.ts"
import type { Attachment } from "#actors/model/objects.ts"
import type { ContainerSpec, GenericResource, PortConfig, TaskSpec } from "#actors/model/spec.ts"
import { writeResolvConf } from "#actors/network/names/resolv-conf.ts"
import type { TaskResolver } from "#actors/network/names/resolver.ts"
import { isPredefined, standsAlone } from "#actors/network/predefined.ts"
import { macOf } from "#actors/network/table.ts"
import { decodeBase64, encodeBase64 } from "#actors/task/base64.ts"
import { contextOf, expandContainer } from "#actors/task/expand.ts"
import { fill } from "#actors/task/fill.ts"
import type { Place, Pursue, TaskFile } from "#actors/task/protocol.ts"
import type { MountPoint } from "#actors/volumes/mounts/protocol.ts"

/** The request without the mounts of its files (see `withFiles`), and those files; or why there can be none. */
export type Described =
  | { readonly request: ContainerRequest; readonly files: ReadonlyArray<TaskFile> }
  | { readonly problem: string }

type Fields = Readonly<Record<string, unknown>>

/**
 * `bridges` holds the Engine's network id of every network in `pursuit.networks`, `points` where each
 * cluster volume of the task is.
 */
export function describe(
  pursuit: Pursue,
  bridges: Readonly<Record<string, string>>,
  resolver?: TaskResolver,
  points: Readonly<Record<string, MountPoint>> = {}
): Described {
  const { assigned, place } = pursuit
  const spec = assigned.spec.ContainerSpec
  if (spec === undefined) return { problem: "TaskTemplate.ContainerSpec: expected a container, found none" }
  const expanded = expandContainer(spec, contextOf(pursuit))
  if ("problem" in expanded) return expanded
  const { env, hostname } = expanded.value
  const mounts: Fields[] = []
  const devices: Fields[] = []
  for (const mount of expanded.value.mounts) {
    if (mount.Type === "cluster") {
      const { Source = "", Target = "", ReadOnly = false } = mount
      const given = assigned.volumes?.find((one) => one.Source === Source && one.Target === Target)
      const point = points[given?.ID ?? ""]
      if (point === undefined)
        return { problem: `mount ${Target}: no cluster volume ${Source} is mounted here` }
      if (!point.block)
        mounts.push({ Type: "bind", Source: point.path, Target, ...truth("ReadOnly", ReadOnly) })
      else
        devices.push({
          PathOnHost: point.path,
          PathInContainer: Target,
          CgroupPermissions: ReadOnly ? "r" : "rwm"
        })
    } else mounts.push(mount)
  }
  const networks = endpoints(pursuit, bridges)
  if ("problem" in networks) return networks
  const files = filesOf(pursuit, spec)
  if ("problem" in files) return files
  const ownFiles = [...files.files, ...resolvConfOf(spec, files.files, resolver)]
  const extras = askedExtras(spec.Labels)
  if ("problem" in extras) return extras
  const ports = assigned.hostPorts ?? []
  const request = {
    Image: spec.Image ?? "",
    Labels: labels(pursuit, spec, place),
    Env: [...env, ...resourceEnv(assigned.genericResources ?? [])],
    ...command(spec),
    ...text("Hostname", hostname),
    ...text("WorkingDir", spec.Dir),
    ...text("User", spec.User),
    ...text("StopSignal", spec.StopSignal),
    ...truth("Tty", spec.TTY),
    ...truth("OpenStdin", spec.OpenStdin),
    // Swarm passes the grace with each stop; here it also holds for a `docker stop` by hand. Seconds, rounded up.
    ...(spec.StopGracePeriod !== undefined && { StopTimeout: Math.ceil(spec.StopGracePeriod / 1e9) }),
    ...(spec.Healthcheck && { Healthcheck: present(spec.Healthcheck) }),
    ...(ports.length > 0 && { ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])) }),
    HostConfig: {
      RestartPolicy: { Name: "no" },
      ...(mounts.length > 0 && { Mounts: mounts }),
      ...(ports.length > 0 && { PortBindings: portBindings(ports) }),
      ...(networks.mode !== undefined && { NetworkMode: networks.mode }),
      ...host(spec),
      ...security(spec.Privileges),
      ...resources(assigned.spec),
      ...beyondSwarm(extras, devices),
      ...logging(assigned.spec)
    },
    Networks: networks.endpoints
  }
  return { request, files: ownFiles }
}

/** The request with its files mounted, read-only but for those it may change; `paths` are their places on this machine by key. */
export function withFiles(
  request: ContainerRequest,
  files: ReadonlyArray<TaskFile>,
  paths: Readonly<Record<string, string>>
): ContainerRequest {
  if (files.length === 0) return request
  const mounts = (request.HostConfig.Mounts as ReadonlyArray<unknown> | undefined) ?? []
  const added = files.map(({ key, target, writable }) => ({
    Type: "bind",
    Source: paths[key] ?? "",
    Target: target,
    ReadOnly: writable !== true
  }))
  return { ...request, HostConfig: { ...request.HostConfig, Mounts: [...mounts, ...added] } }
}

/** With a command, it replaces the image's entry point and the arguments follow it; else they go to the image's. */
const command = (spec: ContainerSpec): Fields => ({
  ...list("Entrypoint", spec.Command),
  ...list("Cmd", spec.Args)
})

function labels({ assigned }: Pursue, spec: ContainerSpec, place: Place): Readonly<Record<string, string>> {
  return {
    ...spec.Labels,
    [isTaskLabel]: "",
    [taskLabel]: assigned.id,
    [taskNameLabel]: assigned.name,
    [nodeLabel]: place.nodeId,
    [serviceLabel]: assigned.serviceId,
    [serviceNameLabel]: assigned.serviceName,
    [clusterLabel]: place.clusterId,
    ...(assigned.volumes && { [volumesLabel]: assigned.volumes.map(({ ID }) => ID).join() })
  }
}

function host(spec: ContainerSpec): Fields {
  const hosts = (spec.Hosts ?? []).flatMap((entry) => {
    // hosts(5) puts the address first, the Engine the name; aliases are left out, as in Swarm.
    const [ip, name] = entry.trim().split(/\s+/)
    return ip !== undefined && name !== undefined ? [`${name}:${ip}`] : []
  })
  return {
    ...list("GroupAdd", spec.Groups),
    ...list("ExtraHosts", hosts),
    ...list("Dns", spec.DNSConfig?.Nameservers),
    ...list("DnsSearch", spec.DNSConfig?.Search),
    ...list("DnsOptions", spec.DNSConfig?.Options),
    ...list("CapAdd", spec.CapabilityAdd),
    ...list("CapDrop", spec.CapabilityDrop),
    ...truth("ReadonlyRootfs", spec.ReadOnly),
    ...(spec.Init !== undefined && { Init: spec.Init }),
    ...(spec.Isolation !== undefined && spec.Isolation !== "default" && text("Isolation", spec.Isolation)),
    ...(spec.Sysctls && Object.keys(spec.Sysctls).length > 0 && { Sysctls: spec.Sysctls }),
    ...number("OomScoreAdj", spec.OomScoreAdj),
    ...list(
      "Ulimits",
      spec.Ulimits?.map(({ Name = "", Soft = 0, Hard = 0 }) => ({ Name, Soft, Hard }))
    )
  }
}

function security(privileges: ContainerSpec["Privileges"]): Fields {
  if (privileges === undefined) return {}
  const {
    CredentialSpec: credential,
    SELinuxContext: selinux,
    Seccomp: seccomp,
    AppArmor: appArmor
  } = privileges
  const options: string[] = []
  // For Windows alone; an Engine on Linux refuses it, and the task says why.
  // Older logs hold whatever was sent in its place, so nothing is known of its form.
  const asked = (credential ?? {}) as Readonly<Record<string, unknown>>
  for (const source of ["Config", "File", "Registry"]) {
    if (typeof asked[source] === "string" && asked[source] !== "")
      options.push(`credentialspec=${source.toLowerCase()}://${asked[source]}`)
  }
  if (selinux?.Disable) options.push("label=disable")
  for (const part of ["User", "Role", "Type", "Level"] as const) {
    if (selinux?.[part]) options.push(`label=${part.toLowerCase()}:${selinux[part]}`)
  }
  if (seccomp?.Mode === "unconfined") options.push("seccomp=unconfined")
  if (seccomp?.Mode === "custom") options.push(`seccomp=${decodeBase64(seccomp.Profile ?? "")}`)
  if (appArmor?.Mode === "disabled") options.push("apparmor=unconfined")
  if (privileges.NoNewPrivileges) options.push("no-new-privileges=true")
  return list("SecurityOpt", options)
}

function resources({ Resources }: TaskSpec): Fields {
  const { Limits, Reservations, SwapBytes, MemorySwappiness } = Resources ?? {}
  return {
    ...number("Memory", Limits?.MemoryBytes),
    ...number("NanoCpus", Limits?.NanoCPUs),
    ...number("PidsLimit", Limits?.Pids),
    ...number("MemoryReservation", Reservations?.MemoryBytes),
    // The Engine counts memory and swap together; -1 is no limit.
    ...(SwapBytes !== undefined && {
      MemorySwap: SwapBytes < 0 ? -1 : SwapBytes + (Limits?.MemoryBytes ?? 0)
    }),
    ...(MemorySwappiness !== undefined && { MemorySwappiness })
  }
}

/** What Swarm's API has no field for, and the cluster volumes that are devices. */
const beyondSwarm = (
  { devices = [], gpus, privileged, shm_size }: AskedExtras,
  volumes: ReadonlyArray<Fields>
): Fields => ({
  ...list("Devices", [...devices, ...volumes]),
  ...truth("Privileged", privileged),
  ...number("ShmSize", shm_size),
  ...(gpus !== undefined && { DeviceRequests: [{ Count: gpus, Capabilities: [["gpu"]] }] })
})

const logging = ({ LogDriver: driver }: TaskSpec): Fields =>
  driver?.Name
    ? {
        LogConfig: {
          Type: driver.Name,
          ...(driver.Options && { Config: driver.Options })
        }
      }
    : {}

const portKey = ({ TargetPort = 0, Protocol = "tcp" }: PortConfig): string => `${TargetPort}/${Protocol}`

/** Without a published port the Engine chooses one. */
function portBindings(ports: ReadonlyArray<PortConfig>): Fields {
  const bindings: Record<string, Array<{ HostPort: string }>> = {}
  for (const port of ports) {
    const key = portKey(port)
    const HostPort = port.PublishedPort ? String(port.PublishedPort) : ""
    bindings[key] = [...(bindings[key] ?? []), { HostPort }]
  }
  return bindings
}

type Endpoints =
  | { readonly endpoints: ContainerRequest["Networks"]; readonly mode?: string }
  | { readonly problem: string }

function endpoints(pursuit: Pursue, bridges: Readonly<Record<string, string>>): Endpoints {
  const { assigned, networks } = pursuit
  const result: Array<ContainerRequest["Networks"][number]> = []
  for (const attachment of assigned.attachments) {
    const plan = networks.find(({ id }) => id === attachment.NetworkID)
    if (plan === undefined) return { problem: `network ${attachment.NetworkID} is not known on this node` }
    const networkId = bridges[attachment.NetworkID]
    if (networkId === undefined) return { problem: `network ${plan.name} is not there` }
    const asked = (assigned.spec.Networks ?? []).find(
      ({ Target }) => Target === plan.id || Target === plan.name
    )
    const aliases = [
      assigned.serviceName,
      // Swarm's name for all tasks of a service.
      `tasks.${assigned.serviceName}`,
      ...(asked?.Aliases ?? []),
      ...(attachment.Aliases ?? []),
      assigned.id.slice(0, 12)
    ]
    result.push({
      networkId,
      endpoint: {
        Aliases: [...new Set(aliases)],
        ...ipam(attachment),
        ...hardwareAddress(attachment),
        ...(asked?.DriverOpts && { DriverOpts: asked.DriverOpts })
      }
    })
  }
  const own = (assigned.spec.Networks ?? []).map(({ Target }) => Target).find(isPredefined)
  if (own === undefined) return { endpoints: result }
  if (result.length === 0) return { endpoints: result, mode: own }
  if (standsAlone(own)) return { problem: `network ${own}: a container on it has no other network` }
  return { endpoints: [...result, { networkId: own, endpoint: {} }] }
}

function ipam({ Addresses }: Attachment): Fields {
  const config: Record<string, string> = {}
  for (const cidr of Addresses) {
    const [ip = ""] = cidr.split("/")
    if (ip !== "") config[ip.includes(":") ? "IPv6Address" : "IPv4Address"] ??= ip
  }
  return Object.keys(config).length > 0 ? { IPAMConfig: config } : {}
}

/**
 * Other nodes have written it down before the container is there. Up to API 1.43 the Engine does not read it here: its
 * bridges derive the same from the address. What can be said there is said for all of a container's networks at once.
 */
function hardwareAddress({ Addresses }: Attachment): Fields {
  const ipv4 = Addresses.map(withoutPrefix).find((ip) => ip !== "" && !ip.includes(":"))
  return ipv4 === undefined ? {} : { MacAddress: macOf(ipv4) }
}

/** `DOCKER_RESOURCE_GPU=uuid1,uuid2` for named resources, `DOCKER_RESOURCE_SSD=3` for counted ones. */
function resourceEnv(generic: ReadonlyArray<GenericResource>): ReadonlyArray<string> {
  const values = new Map<string, string[]>()
  for (const { NamedResourceSpec: named, DiscreteResourceSpec: counted } of generic) {
    const kind = named?.Kind ?? counted?.Kind
    if (kind === undefined) continue
    const key = `DOCKER_RESOURCE_${kind.toUpperCase()}`
    values.set(key, [...(values.get(key) ?? []), named ? (named.Value ?? "") : String(counted?.Value ?? 0)])
  }
  return [...values].map(([key, list]) => `${key}=${list.join(",")}`)
}

type Files = { readonly files: ReadonlyArray<TaskFile> } | { readonly problem: string }

function filesOf(pursuit: Pursue, spec: ContainerSpec): Files {
  const files: TaskFile[] = []
  for (const { SecretID = "", SecretName = "", File } of spec.Secrets ?? []) {
    if (File === undefined) continue
    const name = File.Name || SecretName
    const target = name.startsWith("/") ? name : `/run/secrets/${name}`
    const file = fileOf(pursuit, "secret", SecretID, SecretName, File, target, files.length)
    if ("problem" in file) return file
    files.push(file)
  }
  for (const { ConfigID = "", ConfigName = "", File } of spec.Configs ?? []) {
    // A config without a file is read by the Engine itself (credential specs).
    if (File === undefined) continue
    const name = File.Name || ConfigName
    const target = name.startsWith("/") ? name : `/${name}`
    const file = fileOf(pursuit, "config", ConfigID, ConfigName, File, target, files.length)
    if ("problem" in file) return file
    files.push(file)
  }
  return { files }
}

const resolvConfPath = "/etc/resolv.conf"

/**
 * Ours in place of the Engine's, whose server knows one machine's containers, and asks nobody else on internal networks.
 * It can be written to like the Engine's, which images that bring their own resolver do. A service's own is let be.
 */
function resolvConfOf(
  spec: ContainerSpec,
  others: ReadonlyArray<TaskFile>,
  resolver: TaskResolver | undefined
): ReadonlyArray<TaskFile> {
  if (resolver === undefined) return []
  const taken = [...(spec.Mounts ?? []).map(({ Target }) => Target), ...others.map(({ target }) => target)]
  if (taken.includes(resolvConfPath)) return []
  const content = writeResolvConf(resolver.nameserver, spec.DNSConfig ?? {}, resolver.host)
  return [
    {
      key: "resolv.conf",
      data: encodeBase64(content),
      uid: 0,
      gid: 0,
      mode: 0o644,
      target: resolvConfPath,
      writable: spec.ReadOnly !== true
    }
  ]
}

function fileOf(
  pursuit: Pursue,
  kind: "secret" | "config",
  id: string,
  name: string,
  file: { readonly UID?: string; readonly GID?: string; readonly Mode?: number },
  target: string,
  position: number
): TaskFile | { readonly problem: string } {
  const given = kind === "secret" ? pursuit.secrets : pursuit.configs
  const found = given.find((one) => one.id === id)
  if (found === undefined) {
    const why = pursuit.assigned.withheld?.[id]
    return {
      problem: `${kind} ${name || id} ${why === undefined ? "was not given to this node" : `is not to be had: ${why}`}`
    }
  }
  const uid = ownerOf(file.UID)
  const gid = ownerOf(file.GID)
  if (uid === undefined || gid === undefined) {
    const [field, value] = uid === undefined ? ["UID", file.UID] : ["GID", file.GID]
    return {
      problem: `${kind} ${name}: File.${field} ${JSON.stringify(value)}: expected a number from 0 to 4294967294`
    }
  }
  const content = fill(found, pursuit)
  if ("problem" in content) return { problem: `expanding ${kind} ${name} failed: ${content.problem}` }
  return {
    key: `${kind}-${position}-${id}`,
    data: content.value,
    uid,
    gid,
    mode: file.Mode ?? 0o444,
    target
  }
}

function ownerOf(owner: string | undefined): number | undefined {
  if (owner === undefined || owner === "") return 0
  if (!/^\d{1,10}$/.test(owner)) return undefined
  const id = Number(owner)
  return id <= 4_294_967_294 ? id : undefined
}

const text = (key: string, value: string | undefined): Fields => (value ? { [key]: value } : {})
const truth = (key: string, value: boolean | undefined): Fields => (value ? { [key]: true } : {})
const number = (key: string, value: number | undefined): Fields => (value ? { [key]: value } : {})
const list = (key: string, values: ReadonlyArray<unknown> | undefined): Fields =>
  values !== undefined && values.length > 0 ? { [key]: values } : {}

const present = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
