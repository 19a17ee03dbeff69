/**
 * A project as the objects that the Engine's API makes of it, as `docker stack deploy` would ask for them: names, labels
 * and defaults are its, so that the two can be used in turn on one stack.
 */
import { Buffer } from "node:buffer"
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import { labelOf } from "#actors/model/extras.ts"
import type {
  ConfigSpec,
  MountSpec,
  NetworkCreateRequest,
  PortConfig,
  SecretSpec,
  ServiceSpec,
  TaskSpec,
  UpdateConfig
} from "#actors/model/spec.ts"
import type { Project } from "#cli/compose/load.ts"
import { readBytes, readDuration } from "#cli/compose/read-units.ts"
import { ComposeError, type Problem } from "#cli/compose/value.ts"

export const stackLabel = "com.docker.stack.namespace"
export const imageLabel = "com.docker.stack.image"

/** What is to be there. References to secrets and configs have names only: ids are looked up when they exist. */
export interface Desired {
  readonly stack: string
  readonly networks: ReadonlyArray<NetworkCreateRequest & { readonly Name: string }>
  readonly secrets: ReadonlyArray<SecretSpec & { readonly Name: string }>
  readonly configs: ReadonlyArray<ConfigSpec & { readonly Name: string }>
  /** In an order in which each comes after those that it depends on. */
  readonly services: ReadonlyArray<ServiceSpec & { readonly Name: string }>
  /** Objects of somebody else that must exist, by name. */
  readonly external: {
    readonly networks: ReadonlyArray<string>
    readonly secrets: ReadonlyArray<string>
    readonly configs: ReadonlyArray<string>
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the schema has checked what is read here
type Model = any
type Kind = "networks" | "secrets" | "configs" | "volumes"
type Texts = Readonly<Record<string, string>>

/** Throws `ComposeError` for references to what is not declared, and for what cannot be done together. */
export function translate(project: Project): Desired {
  return new Translation(project).desired()
}

class Translation {
  readonly #project: Project
  readonly #model: Model
  readonly #problems: Array<Problem> = []

  constructor(project: Project) {
    this.#project = project
    this.#model = project.model
  }

  desired(): Desired {
    const services = this.#order().map((name) => this.#service(name, this.#model.services[name]))
    const networks = this.#networks(services)
    const secrets = this.#files("secrets") as Desired["secrets"]
    const configs = this.#files("configs") as Desired["configs"]
    const external = {
      networks: this.#external("networks"),
      secrets: this.#external("secrets"),
      configs: this.#external("configs")
    }
    if (this.#problems.length > 0) throw new ComposeError(this.#problems)
    return { stack: this.#project.name, networks, secrets, configs, services, external }
  }

  #wrong(path: ReadonlyArray<string>, text: string): void {
    this.#problems.push({ at: this.#project.placeOf(path), path: path.join("."), text })
  }

  #scoped(name: string): string {
    return `${this.#project.name}_${name}`
  }

  #isExternal(object: Model): boolean {
    const external = object?.external
    return external === "true" || typeof external === "object"
  }

  /** The name in the cluster of what a file calls `key`. */
  #nameOf(kind: Kind, key: string): string {
    const object = this.#model[kind]?.[key]
    const given = object?.name ?? object?.external?.name
    return given ?? (this.#isExternal(object) ? key : this.#scoped(key))
  }

  #declared(kind: Kind, key: string, path: ReadonlyArray<string>): void {
    const known = Object.keys(this.#model[kind] ?? {})
    if (known.includes(key)) return
    const expected = known.length === 0 ? `an entry below ${kind}` : `one of ${known.join(", ")}`
    this.#wrong(path, `${JSON.stringify(key)}: expected ${expected}`)
  }

  #external(kind: "networks" | "secrets" | "configs"): ReadonlyArray<string> {
    return Object.entries<Model>(this.#model[kind] ?? {})
      .filter(([, object]) => this.#isExternal(object))
      .map(([key]) => this.#nameOf(kind, key))
  }

  #labels(own: Model): Texts {
    return { ...pairs(own), [stackLabel]: this.#project.name }
  }

  #networks(services: ReadonlyArray<ServiceSpec>): Desired["networks"] {
    const used = new Set(
      services.flatMap(({ TaskTemplate }) => TaskTemplate?.Networks ?? []).map((one) => one.Target)
    )
    const declared: Record<string, Model> = { ...this.#model.networks }
    if (used.has(this.#scoped("default"))) declared.default ??= {}
    return Object.entries(declared)
      .filter(([key, network]) => !this.#isExternal(network) && used.has(this.#nameOf("networks", key)))
      .map(([key, network]) =>
        tidy({
          Name: this.#nameOf("networks", key),
          Driver: network?.driver ?? "overlay",
          Options: network?.driver_opts,
          Internal: truth(network?.internal),
          Attachable: truth(network?.attachable),
          EnableIPv6: truth(network?.enable_ipv6),
          EnableIPv4: truth(network?.enable_ipv4),
          Labels: this.#labels(network?.labels),
          IPAM:
            network?.ipam === undefined
              ? undefined
              : tidy({
                  Driver: network.ipam.driver,
                  Options: network.ipam.options,
                  Config: network.ipam.config?.map((one: Model) =>
                    tidy({
                      Subnet: one.subnet,
                      Gateway: one.gateway,
                      IPRange: one.ip_range,
                      AuxiliaryAddresses: one.aux_addresses
                    })
                  )
                })
        })
      )
  }

  #files(kind: "secrets" | "configs"): ReadonlyArray<{ readonly Name: string }> {
    const found: Array<{ readonly Name: string }> = []
    for (const [key, object] of Object.entries<Model>(this.#model[kind] ?? {})) {
      if (this.#isExternal(object)) continue
      const content = this.#project.contents.get(`${kind}.${key}`)
      if (content === undefined && object?.driver === undefined) {
        this.#wrong([kind, key], "expected file, environment, content or external")
      }
      found.push(
        tidy({
          Name: this.#nameOf(kind, key),
          Labels: this.#labels(object?.labels),
          Data: content?.toString("base64"),
          Driver:
            object?.driver === undefined
              ? undefined
              : tidy({ Name: object.driver, Options: object.driver_opts }),
          Templating: object?.template_driver === undefined ? undefined : { Name: object.template_driver }
        })
      )
    }
    return found
  }

  /** Services after those that they depend on. */
  #order(): ReadonlyArray<string> {
    const services = this.#model.services
    const done = new Set<string>()
    const visit = (name: string, trail: ReadonlyArray<string>): void => {
      if (done.has(name)) return
      if (trail.includes(name)) {
        this.#wrong(["services", name, "depends_on"], `a circle: ${[...trail, name].join(" → ")}`)
        return
      }
      for (const [other, how] of Object.entries<Model>(asRecord(services[name].depends_on))) {
        if (services[other] !== undefined) visit(other, [...trail, name])
        else if (how?.required !== "false") {
          const expected = this.#project.leftOut.includes(other)
            ? "a profile of it to be asked for (--profile)"
            : `one of ${Object.keys(services).join(", ")}`
          this.#wrong(["services", name, "depends_on"], `${JSON.stringify(other)}: expected ${expected}`)
        }
      }
      done.add(name)
    }
    for (const name of Object.keys(services).sort()) visit(name, [])
    return [...done]
  }

  #service(key: string, service: Model): ServiceSpec & { readonly Name: string } {
    const { deploy = {}, image } = service
    if (image === undefined) this.#wrong(["services", key], "image is missing: expected an image's name")
    return tidy({
      Name: this.#scoped(key),
      Labels: { ...this.#labels(deploy.labels), [imageLabel]: image ?? "" },
      TaskTemplate: this.#task(key, service),
      Mode: modeOf(service),
      UpdateConfig: updating(deploy.update_config),
      RollbackConfig: updating(deploy.rollback_config),
      EndpointSpec: tidy({ Mode: deploy.endpoint_mode, Ports: this.#ports(key, service.ports) })
    })
  }

  #task(key: string, service: Model): TaskSpec {
    const { deploy = {} } = service
    const placement = deploy.placement ?? {}
    return tidy({
      ContainerSpec: this.#container(key, service),
      Resources: resourcesOf(service),
      RestartPolicy: restartOf(service),
      Placement: tidy({
        Constraints: placement.constraints,
        Preferences: placement.preferences?.map((one: Model) => ({
          Spread: { SpreadDescriptor: one.spread }
        })),
        MaxReplicas: number(placement.max_replicas_per_node),
        Platforms: platformOf(service.platform)
      }),
      Networks: this.#attachments(key, service.networks),
      LogDriver:
        service.logging === undefined
          ? undefined
          : tidy({ Name: service.logging.driver, Options: service.logging.options }),
      ForceUpdate: 0
    })
  }

  #container(key: string, service: Model): NonNullable<TaskSpec["ContainerSpec"]> {
    const opts: ReadonlyArray<string> = service.security_opt ?? []
    // As docker stack deploy sends it: another spelling of the same would replace tasks.
    const privileges = {
      CredentialSpec: credential(service.credential_spec) ?? null,
      SELinuxContext: null,
      NoNewPrivileges: opts.some((one) => one !== "no-new-privileges:false")
    }
    const dns = tidy({
      Nameservers: asList(service.dns),
      Search: asList(service.dns_search),
      Options: service.dns_opt
    })
    return tidy({
      Image: service.image,
      Labels: { ...this.#labels(service.labels), ...extrasOf(service) },
      Command: this.#words(key, "entrypoint", service.entrypoint),
      Args: this.#words(key, "command", service.command),
      Hostname: service.hostname,
      Env: environment(service.environment),
      Dir: service.working_dir,
      User: service.user,
      Groups: service.group_add,
      Privileges: privileges,
      Init: truth(service.init),
      StopSignal: service.stop_signal,
      StopGracePeriod: nanos(service.stop_grace_period),
      TTY: truth(service.tty),
      OpenStdin: truth(service.stdin_open),
      ReadOnly: truth(service.read_only),
      Mounts: this.#mounts(key, service),
      Healthcheck: healthOf(service.healthcheck),
      Hosts: hostsOf(service.extra_hosts),
      DNSConfig: Object.keys(dns).length === 0 ? undefined : dns,
      Secrets: this.#references("secrets", key, service.secrets) as never,
      Configs: this.#references("configs", key, service.configs) as never,
      Isolation: service.isolation,
      Sysctls: service.sysctls === undefined ? undefined : pairs(service.sysctls),
      CapabilityAdd: capabilities(service.cap_add),
      CapabilityDrop: capabilities(service.cap_drop),
      Ulimits: ulimitsOf(service.ulimits),
      OomScoreAdj: number(service.oom_score_adj)
    })
  }

  #words(key: string, field: string, asked: Model): ReadonlyArray<string> | undefined {
    const found = words(asked)
    if (typeof found !== "string") return found
    this.#wrong(["services", key, field], found)
    return undefined
  }

  #attachments(key: string, networks: Model): TaskSpec["Networks"] {
    const asked = networks === undefined ? { default: null } : asRecord(networks)
    return Object.entries<Model>(asked)
      .map(([network, how]) => {
        if (network !== "default") this.#declared("networks", network, ["services", key, "networks"])
        return tidy({
          Target: this.#nameOf("networks", network),
          Aliases: [...(how?.aliases ?? []), key],
          DriverOpts: how?.driver_opts
        })
      })
      .sort((a, b) => compare(a.Target, b.Target))
  }

  #references(kind: "secrets" | "configs", key: string, asked: Model): ReadonlyArray<object> | undefined {
    const [id, name] = kind === "secrets" ? ["SecretID", "SecretName"] : ["ConfigID", "ConfigName"]
    return asked
      ?.map((one: Model) => (typeof one === "string" ? { source: one } : one))
      .map((one: Model) => {
        this.#declared(kind, one.source, ["services", key, kind])
        const File = {
          Name: one.target ?? one.source,
          UID: one.uid ?? "0",
          GID: one.gid ?? "0",
          Mode: octal(one.mode) ?? 0o444
        }
        return { File, [id]: "", [name]: this.#nameOf(kind, one.source) }
      })
      .sort((a: Model, b: Model) => compare(a[name], b[name]))
  }

  #ports(key: string, asked: Model): ReadonlyArray<PortConfig> | undefined {
    const ports = asked?.flatMap((one: Model) => {
      const found = typeof one === "string" ? shortPort(one) : longPort(one)
      if (typeof found !== "string") return found
      this.#wrong(["services", key, "ports"], found)
      return []
    })
    return ports?.sort((a: PortConfig, b: PortConfig) => (a.PublishedPort ?? 0) - (b.PublishedPort ?? 0))
  }

  #mounts(key: string, service: Model): ReadonlyArray<MountSpec> | undefined {
    const wrong = (field: string, text: string): ReadonlyArray<MountSpec> => {
      this.#wrong(["services", key, field], text)
      return []
    }
    const tmpfs = asList(service.tmpfs)?.flatMap((one) => {
      const mount = shortTmpfs(one)
      return typeof mount === "string" ? wrong("tmpfs", mount) : [mount]
    })
    const mounts = service.volumes?.flatMap((one: Model) => {
      const volume = typeof one === "string" ? shortVolume(one) : one
      return typeof volume === "string" ? wrong("volumes", volume) : [this.#mount(key, volume)]
    })
    return mounts === undefined && tmpfs === undefined ? undefined : [...(mounts ?? []), ...(tmpfs ?? [])]
  }

  #mount(key: string, volume: Model): MountSpec {
    const path = ["services", key, "volumes"]
    const type = volume.type ?? "volume"
    if (volume.target === undefined) this.#wrong(path, "target is missing: expected a path")
    if (type === "bind" && volume.source === undefined)
      this.#wrong(path, "a bind without source: expected a path")
    const isNamed = type === "volume" && volume.source !== undefined
    const recursive = volume.bind?.recursive
    if ((recursive === "writable" || recursive === "readonly") && truth(volume.read_only) !== true)
      this.#wrong(path, `bind.recursive ${JSON.stringify(recursive)}: expected read_only: true beside it`)
    if (recursive === "readonly" && volume.bind.propagation !== "rprivate")
      this.#wrong(path, `bind.recursive "readonly": expected bind.propagation rprivate beside it`)
    if (isNamed) this.#declared("volumes", volume.source, path)
    const declared = isNamed ? (this.#model.volumes?.[volume.source] ?? {}) : {}
    const options = tidy({
      NoCopy: truth(volume.volume?.nocopy),
      Subpath: volume.volume?.subpath,
      Labels:
        isNamed && !this.#isExternal(declared)
          ? this.#labels({ ...pairs(declared.labels), ...pairs(volume.volume?.labels) })
          : undefined,
      DriverConfig:
        declared.driver === undefined && declared.driver_opts === undefined
          ? undefined
          : tidy({ Name: declared.driver, Options: declared.driver_opts })
    })
    return tidy({
      Type: type,
      Source: isNamed ? this.#nameOf("volumes", volume.source) : volume.source,
      Target: volume.target,
      ReadOnly: truth(volume.read_only),
      Consistency: volume.consistency,
      BindOptions:
        volume.bind === undefined
          ? undefined
          : tidy({
              Propagation: volume.bind.propagation,
              CreateMountpoint: truth(volume.bind.create_host_path),
              ...recursion(volume.bind.recursive)
            }),
      VolumeOptions: type === "volume" && Object.keys(options).length > 0 ? options : undefined,
      TmpfsOptions:
        volume.tmpfs === undefined
          ? undefined
          : tidy({ SizeBytes: size(volume.tmpfs.size), Mode: octal(volume.tmpfs.mode) }),
      ImageOptions: volume.image === undefined ? undefined : tidy({ Subpath: volume.image.subpath })
    })
  }
}

/** Without what is `undefined`. */
// biome-ignore lint/suspicious/noExplicitAny: what is left has the type that the caller names
const tidy = (object: Record<string, unknown>): any =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))

/** As the docker CLI's `bind-recursive` of `--mount`. */
const recursion = (asked: string | undefined): object => ({
  NonRecursive: asked === "disabled" ? true : undefined,
  ReadOnlyNonRecursive: asked === "writable" ? true : undefined,
  ReadOnlyForceRecursive: asked === "readonly" ? true : undefined
})

const compare = (a: string | undefined, b: string | undefined): number => ((a ?? "") < (b ?? "") ? -1 : 1)
const truth = (text: string | undefined): boolean | undefined =>
  text === undefined ? undefined : text.toLowerCase() === "true"
const number = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text)
const octal = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : text.startsWith("0") ? Number.parseInt(text, 8) : Number(text)
const nanos = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : readDuration(text)
const size = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : readBytes(text)
const asList = (value: Model): ReadonlyArray<string> | undefined =>
  typeof value === "string" ? [value] : value
const asRecord = (value: Model): Record<string, Model> =>
  Array.isArray(value) ? Object.fromEntries(value.map((one) => [one, null])) : (value ?? {})

/** `NAME=value` in a list, or a mapping. */
function pairs(value: Model): Record<string, string> {
  if (!Array.isArray(value)) {
    return Object.fromEntries(Object.entries<Model>(value ?? {}).map(([key, one]) => [key, one ?? ""]))
  }
  return Object.fromEntries(
    value.map((one: string) => {
      const cut = one.indexOf("=")
      return cut < 0 ? [one, ""] : [one.slice(0, cut), one.slice(cut + 1)]
    })
  )
}

function environment(value: Model): ReadonlyArray<string> | undefined {
  if (value === undefined) return undefined
  const lines = Array.isArray(value)
    ? value
    : Object.entries<Model>(value).map(([key, one]) => (one === null ? key : `${key}=${one}`))
  return [...lines].sort()
}

const shellWord = /(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/gs

/** A text is split as a shell would split it, or says what is wrong; a list is taken as it is. */
function words(value: Model): ReadonlyArray<string> | string | undefined {
  if (value === undefined || value === null) return undefined
  if (Array.isArray(value)) return value
  const text = String(value)
  if (text.replaceAll(shellWord, "").trim() !== "")
    return `${JSON.stringify(text)}: expected words as for a shell, with quotes that are closed`
  const found: Array<string> = []
  for (const [word] of text.matchAll(shellWord)) {
    found.push(
      word.replace(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/gs, (_, double, single, escaped) =>
        double === undefined ? (single ?? escaped) : double.replace(/\\(["\\$`])/g, "$1")
      )
    )
  }
  return found
}

const capabilities = (names: ReadonlyArray<string> | undefined): ReadonlyArray<string> | undefined =>
  names
    ?.map((name) => name.toUpperCase())
    .map((name) => (name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`))
    .sort()

function modeOf({ deploy = {}, scale }: Model): ServiceSpec["Mode"] {
  const replicas = number(deploy.replicas ?? scale)
  switch (deploy.mode) {
    case "global":
      return { Global: {} }
    case "global-job":
      return { GlobalJob: {} }
    case "replicated-job": {
      const total = replicas ?? 1
      return { ReplicatedJob: { MaxConcurrent: total, TotalCompletions: total } }
    }
    default:
      // What follows its load has as many as it has.
      if (replicas === undefined && asksForScaling({ Labels: pairs(deploy.labels) }))
        return { Replicated: {} }
      return { Replicated: { Replicas: replicas ?? 1 } }
  }
}

function updating(config: Model): UpdateConfig | undefined {
  if (config === undefined) return undefined
  return tidy({
    Parallelism: number(config.parallelism) ?? 1,
    Delay: nanos(config.delay),
    FailureAction: config.failure_action,
    Monitor: nanos(config.monitor),
    MaxFailureRatio: number(config.max_failure_ratio),
    Order: config.order
  })
}

const cpus = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Math.round(Number(text) * 1e9)

function resourcesOf({ deploy = {}, ...service }: Model): TaskSpec["Resources"] {
  const { limits = {}, reservations = {} } = deploy.resources ?? {}
  const pids = number(limits.pids ?? service.pids_limit)
  const Limits = tidy({
    NanoCPUs: cpus(limits.cpus ?? service.cpus),
    MemoryBytes: size(limits.memory ?? service.mem_limit),
    Pids: pids !== undefined && pids > 0 ? pids : undefined
  })
  const Reservations = tidy({
    NanoCPUs: cpus(reservations.cpus),
    MemoryBytes: size(reservations.memory ?? service.mem_reservation),
    GenericResources: reservations.generic_resources?.map((one: Model) => ({
      DiscreteResourceSpec: {
        Kind: one.discrete_resource_spec.kind,
        Value: Number(one.discrete_resource_spec.value)
      }
    }))
  })
  return tidy({
    Limits: Object.keys(Limits).length === 0 ? undefined : Limits,
    Reservations: Object.keys(Reservations).length === 0 ? undefined : Reservations
  })
}

/** `deploy.restart_policy`, else what `restart` comes to. */
function restartOf({ deploy = {}, restart }: Model): TaskSpec["RestartPolicy"] {
  const policy = deploy.restart_policy
  if (policy !== undefined) {
    return tidy({
      Condition: policy.condition,
      Delay: nanos(policy.delay),
      MaxAttempts: number(policy.max_attempts),
      Window: nanos(policy.window)
    })
  }
  if (restart === undefined) return undefined
  const [condition, attempts] = restart.split(":")
  if (condition === "on-failure") return tidy({ Condition: "on-failure", MaxAttempts: number(attempts) })
  return { Condition: condition === "no" || condition === "false" ? "none" : "any" }
}

function platformOf(platform: string | undefined) {
  if (platform === undefined) return undefined
  const [OS, Architecture] = platform.split("/")
  return [tidy({ OS, Architecture })]
}

function healthOf(check: Model) {
  if (check === undefined) return undefined
  if (truth(check.disable) === true) return { Test: ["NONE"] }
  return tidy({
    Test: typeof check.test === "string" ? ["CMD-SHELL", check.test] : check.test,
    Interval: nanos(check.interval),
    Timeout: nanos(check.timeout),
    StartPeriod: nanos(check.start_period),
    StartInterval: nanos(check.start_interval),
    Retries: number(check.retries)
  })
}

/** `name:address` as the Engine's `address name`. */
function hostsOf(asked: Model): ReadonlyArray<string> | undefined {
  if (asked === undefined) return undefined
  const lines: ReadonlyArray<readonly [string, string]> = Array.isArray(asked)
    ? asked.map((one: string) => [one.split(/[:=]/)[0] ?? one, one.replace(/^[^:=]*[:=]/, "")] as const)
    : Object.entries<Model>(asked).flatMap(([name, to]) =>
        (asList(to) ?? []).map((one) => [name, one] as const)
      )
  return lines.map(([name, address]) => `${address} ${name}`)
}

function ulimitsOf(asked: Model) {
  if (asked === undefined) return undefined
  return Object.entries<Model>(asked)
    .map(([Name, limit]) =>
      typeof limit === "string"
        ? { Name, Soft: Number(limit), Hard: Number(limit) }
        : { Name, Soft: Number(limit.soft), Hard: Number(limit.hard) }
    )
    .sort((a, b) => compare(a.Name, b.Name))
}

function credential(asked: Model) {
  if (asked === undefined) return undefined
  return tidy({ Config: asked.config, File: asked.file, Registry: asked.registry })
}

/** What Swarm's API has no field for, as labels of the container. */
function extrasOf({ devices, gpus, privileged, shm_size }: Model): Texts {
  const count = (Array.isArray(gpus) ? (gpus[0]?.count ?? "all") : gpus)?.replace(/^-1$/, "all")
  const paths = devices?.map((one: Model) =>
    typeof one === "string"
      ? one
      : [
          one.source,
          one.target ?? one.source,
          ...(one.permissions === undefined ? [] : [one.permissions])
        ].join(":")
  )
  return tidy({
    [labelOf("devices")]: paths?.join(","),
    [labelOf("gpus")]: count,
    [labelOf("privileged")]: privileged === "true" ? "true" : undefined,
    [labelOf("shm_size")]: shm_size === undefined ? undefined : String(size(shm_size))
  })
}

const range = (text: string): ReadonlyArray<number> | undefined => {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text)
  const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
  if (match === null || to < from || to > 65_535) return undefined
  return Array.from({ length: to - from + 1 }, (_, at) => from + at)
}

/** `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`, with ranges; a text says what is wrong. */
function shortPort(text: string): ReadonlyArray<PortConfig> | string {
  const [address = "", protocol = "tcp"] = text.split("/")
  const parts = address.split(":")
  const targets = range(parts.at(-1) ?? "")
  const published = parts.length === 1 ? [] : range(parts.at(-2) ?? "")
  const isEven = published?.length === 0 || published?.length === targets?.length
  if (targets === undefined || published === undefined || !isEven) {
    return `${JSON.stringify(text)}: expected [PUBLISHED:]TARGET[/PROTOCOL], ports or ranges of one length up to 65535`
  }
  if (parts.length > 2) {
    return `${JSON.stringify(text)}: expected no address: a cluster publishes on every node`
  }
  return targets.map((TargetPort, at) =>
    tidy({ Protocol: protocol, TargetPort, PublishedPort: published[at], PublishMode: "ingress" })
  )
}

function longPort(port: Model): ReadonlyArray<PortConfig> | string {
  if (port.target === undefined) return "target is missing: expected a port"
  const published = port.published === undefined || port.published === "" ? undefined : Number(port.published)
  if (Number.isNaN(published)) return `published ${JSON.stringify(port.published)}: expected one port`
  return [
    tidy({
      Protocol: port.protocol ?? "tcp",
      TargetPort: Number(port.target),
      PublishedPort: published,
      PublishMode: port.mode ?? "ingress"
    })
  ]
}

/** `PATH[:size=SIZE,mode=MODE]`; a text says what is wrong. */
function shortTmpfs(text: string): MountSpec | string {
  const [Target = "", ...options] = text.split(/[:,]/)
  const asked = new Map(options.map((one) => [one.replace(/=.*/, ""), one.replace(/^[^=]*=?/, "")]))
  const [bytes, mode] = [asked.get("size"), asked.get("mode")]
  const isRead =
    [...asked.keys()].every((name) => name === "size" || name === "mode") &&
    (bytes === undefined || readBytes(bytes) !== undefined) &&
    (mode === undefined || /^[0-7]{1,4}$/.test(mode))
  if (!isRead)
    return `${JSON.stringify(text)}: expected PATH[:size=SIZE,mode=MODE], as /run:size=64m,mode=755`
  const TmpfsOptions = tidy({ SizeBytes: size(bytes), Mode: octal(mode && `0${mode}`) })
  return tidy({ Type: "tmpfs", Target, TmpfsOptions: asked.size === 0 ? undefined : TmpfsOptions })
}

const propagations = /^r?(shared|slave|private)$/
/** `z` and `Z` relabel for SELinux, for which services have no field: as in Swarm they come to nothing. */
const otherModes = /^(ro|rw|nocopy|z|Z|consistent|cached|delegated)$/

/** `[SOURCE:]TARGET[:MODE]`; a text says what is wrong. */
function shortVolume(text: string): Model {
  const parts = text.split(":")
  if (parts.length === 1) return { type: "volume", target: text }
  const [source = "", target, modes, ...rest] = parts
  const words = modes?.split(",") ?? []
  if (rest.length > 0 || !words.every((one) => propagations.test(one) || otherModes.test(one)))
    return `${JSON.stringify(text)}: expected [SOURCE:]TARGET[:MODE], where MODE is ro, rw, nocopy or a propagation`
  const propagation = words.find((one) => propagations.test(one))
  return tidy({
    type: source.startsWith("/") ? "bind" : "volume",
    source,
    target,
    read_only: words.includes("ro") ? "true" : undefined,
    bind: propagation === undefined ? undefined : { propagation },
    volume: words.includes("nocopy") ? { nocopy: "true" } : undefined
  })
}

export const decoded = (data: string | undefined): Buffer => Buffer.from(data ?? "", "base64")
