/**
 * Whether a service's spec can be meant: everything that can be told from the spec alone.
 *
 * The order of the checks and their words are the Engine's and SwarmKit's, so that of two faults the same one is
 * named. What depends on other objects is checked where those are at hand, and again when the entry is applied.
 */
import { checkName, isReference } from "#actors/gateway/validate/check-name.ts"
import { checkDrain } from "#actors/model/drain.ts"
import { type Refusal, refuse, rpc } from "#actors/model/errors.ts"
import { checkExclusive } from "#actors/model/exclusive.ts"
import {
  isIngress,
  modeOf,
  mostReplicas,
  networksOf,
  protocolOf,
  usesIngress
} from "#actors/model/service-facts.ts"
import type {
  ConfigReference,
  ContainerSpec,
  EndpointSpec,
  HealthConfig,
  Resources,
  RestartPolicy,
  SecretReference,
  ServiceSpec,
  TaskSpec,
  UpdateConfig
} from "#actors/model/spec.ts"
import { standsAlone } from "#actors/network/predefined.ts"
import { checkPublish } from "#actors/network/publish-at.ts"
import { parseConstraints } from "#actors/scheduler/match.ts"
import { anyTask, expandContainer } from "#actors/task/expand.ts"

const invalid = (text: string): Refusal => rpc("invalidArgument", text)
const plain = (text: string): Refusal => refuse("invalidArgument", text)

const millisecond = 1_000_000
const leastMemory = 4 * 1024 * 1024
const leastNanoCpus = 1_000_000

type Check = () => Refusal | undefined
function first(...checks: ReadonlyArray<Check>): Refusal | undefined {
  for (const check of checks) {
    const refusal = check()
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** Why the Engine would not even pass the spec on to Swarm; asked before anything is filled in. */
export function checkShape(spec: ServiceSpec): Refusal | undefined {
  const task = spec.TaskTemplate ?? {}
  const runtime = task.Runtime ?? ""
  if (runtime === "plugin")
    return refuse("notImplemented", "services of the plugin runtime are not supported")
  if (runtime !== "" && runtime !== "container") return plain("unsupported runtime")
  if (task.ContainerSpec === undefined) return plain("mismatched Runtime and *Spec fields")
  for (const config of task.ContainerSpec.Configs ?? []) {
    if (config.File === undefined && config.Runtime === undefined) {
      return plain("invalid Config: either File or Runtime should be set")
    }
    if (config.File !== undefined && config.Runtime !== undefined) {
      return plain("invalid Config: cannot specify both File and Runtime")
    }
  }
  return Object.keys(spec.Mode ?? {}).length > 1 ? plain("must specify only one service mode") : undefined
}

/** Why Swarm would refuse the completed spec, whatever else exists. */
export function checkService(spec: ServiceSpec): Refusal | undefined {
  const isJob = modeOf(spec).endsWith("job")
  return first(
    () => checkName(spec.Name),
    () => checkTask(spec.TaskTemplate ?? {}),
    () => checkMode(spec),
    () =>
      isJob
        ? spec.UpdateConfig === undefined
          ? undefined
          : invalid("Jobs may not have an update config")
        : checkUpdate("UpdateConfig", spec.UpdateConfig),
    () => checkUpdate("RollbackConfig", spec.RollbackConfig),
    () => checkEndpoint(spec.EndpointSpec),
    () => checkOwnNetwork(spec),
    () => checkLabels(spec)
  )
}

function checkLabels(spec: ServiceSpec): Refusal | undefined {
  const problem = checkExclusive(spec) ?? checkDrain(spec) ?? checkPublish(spec)
  return problem === undefined ? undefined : plain(problem)
}

function checkTask(task: TaskSpec): Refusal | undefined {
  const container = task.ContainerSpec ?? {}
  return first(
    () => checkResources(task.Resources?.Limits),
    () => checkResources(task.Resources?.Reservations),
    () => checkRestart(task.RestartPolicy),
    () => checkConstraints(task.Placement?.Constraints ?? []),
    () => notNegative("Placement: MaxReplicas", task.Placement?.MaxReplicas),
    () => checkSecretTargets(container.Secrets ?? []),
    () => checkConfigTargets(container.Configs ?? []),
    () => checkContainer(container),
    () => notNegative("TaskSpec: ForceUpdate", task.ForceUpdate)
  )
}

/** Go's `%g`: exponents from 21 digits or below a ten-thousandth. */
const general = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-4
    ? value.toExponential().replace(/e([+-])(\d)$/, "e$10$2")
    : String(value)

function checkResources(resources: Resources | undefined): Refusal | undefined {
  const cpus = resources?.NanoCPUs ?? 0
  if (cpus !== 0 && cpus < leastNanoCpus) {
    return invalid(`invalid cpu value ${general(cpus / 1e9)}: Must be at least 0.001`)
  }
  const memory = resources?.MemoryBytes ?? 0
  if (memory !== 0 && memory < leastMemory) {
    return invalid(`invalid memory value ${memory}: Must be at least 4MiB`)
  }
  return undefined
}

/** SwarmKit gives a constraint that cannot be read no code, so the Engine answers 500. */
function checkConstraints(expressions: ReadonlyArray<string>): Refusal | undefined {
  const parsed = parseConstraints(expressions)
  return typeof parsed === "string" ? rpc("unknown", parsed) : undefined
}

function checkRestart(policy: RestartPolicy | undefined): Refusal | undefined {
  if ((policy?.Delay ?? 0) < 0) return invalid("TaskSpec: restart-delay cannot be negative")
  if ((policy?.Window ?? 0) < 0) return invalid("TaskSpec: restart-window cannot be negative")
  return notNegative("TaskSpec: RestartPolicy.MaxAttempts", policy?.MaxAttempts)
}

function checkContainer(container: ContainerSpec): Refusal | undefined {
  const expanded = expandContainer(container, anyTask)
  if ("problem" in expanded) return invalid(expanded.problem)
  const image = container.Image ?? ""
  if (image === "") return invalid("ContainerSpec: image reference must be provided")
  if (!isReference(image) && !image.includes("{{")) {
    return invalid(`ContainerSpec: ${JSON.stringify(image)} is not a valid repository/tag`)
  }
  const targets = new Set<string>()
  for (const { Target: target = "" } of container.Mounts ?? []) {
    if (target === "") return invalid("ContainerSpec: every mount needs a Target, got an empty one")
    if (targets.has(target)) return invalid(`ContainerSpec: duplicate mount point: ${target}`)
    targets.add(target)
  }
  if ((container.StopGracePeriod ?? 0) < 0) {
    return invalid(`ContainerSpec: StopGracePeriod cannot be negative, got ${container.StopGracePeriod}`)
  }
  return checkHealth(container.Healthcheck)
}

function checkHealth(health: HealthConfig | undefined): Refusal | undefined {
  if (health === undefined) return undefined
  for (const field of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    const duration = health[field] ?? 0
    if (duration !== 0 && duration < millisecond) {
      return invalid(`ContainerSpec: ${field} in HealthConfig cannot be less than 1ms`)
    }
  }
  return (health.Retries ?? 0) < 0
    ? invalid("ContainerSpec: Retries in HealthConfig cannot be negative")
    : undefined
}

function checkSecretTargets(secrets: ReadonlyArray<SecretReference>): Refusal | undefined {
  const taken = new Map<string, string>()
  for (const { SecretID: id = "", SecretName: name = "", File: file } of secrets) {
    if (id === "" || name === "") return invalid("malformed secret reference")
    if (file === undefined) return invalid("malformed secret reference, no target provided")
    const refusal = claim("secret", taken, name, file.Name ?? "")
    if (refusal !== undefined) return refusal
  }
  return undefined
}

function checkConfigTargets(configs: ReadonlyArray<ConfigReference>): Refusal | undefined {
  const taken = new Map<string, string>()
  for (const { ConfigID: id = "", ConfigName: name = "", File: file } of configs) {
    if (id === "" || name === "") return invalid("malformed config reference")
    const refusal = file === undefined ? undefined : claim("config", taken, name, file.Name ?? "")
    if (refusal !== undefined) return refusal
  }
  return undefined
}

function claim(
  kind: "secret" | "config",
  taken: Map<string, string>,
  name: string,
  file: string
): Refusal | undefined {
  if (file === "") return invalid(`malformed file ${kind} reference, invalid target file name provided`)
  const other = taken.get(file)
  if (other !== undefined) {
    return invalid(`${kind} references '${other}' and '${name}' have a conflicting target: '${file}'`)
  }
  taken.set(file, name)
  return undefined
}

function checkMode({ Mode: mode }: ServiceSpec): Refusal | undefined {
  if ((mode?.Replicated?.Replicas ?? 0) < 0) return invalid("Number of replicas must be non-negative")
  if ((mode?.ReplicatedJob?.MaxConcurrent ?? 0) < 0) {
    return invalid("Maximum concurrent jobs must not be negative")
  }
  if ((mode?.ReplicatedJob?.TotalCompletions ?? 0) < 0) {
    return invalid("Total completed jobs must not be negative")
  }
  return (
    notTooMany("Mode.Replicated.Replicas", mode?.Replicated?.Replicas) ??
    notTooMany("Mode.ReplicatedJob.MaxConcurrent", mode?.ReplicatedJob?.MaxConcurrent) ??
    notTooMany("Mode.ReplicatedJob.TotalCompletions", mode?.ReplicatedJob?.TotalCompletions)
  )
}

const notTooMany = (field: string, value = 0): Refusal | undefined =>
  value > mostReplicas ? invalid(`${field} must be ${mostReplicas} at most, got ${value}`) : undefined

function checkUpdate(field: string, update: UpdateConfig | undefined): Refusal | undefined {
  if (update === undefined) return undefined
  if ((update.Delay ?? 0) < 0) return invalid("TaskSpec: update-delay cannot be negative")
  if ((update.Monitor ?? 0) < 0) return invalid("TaskSpec: update-monitor cannot be negative")
  const ratio = update.MaxFailureRatio ?? 0
  // Written so that NaN fails too.
  if (!(ratio >= 0 && ratio <= 1)) {
    return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")
  }
  return notNegative(`${field}: Parallelism`, update.Parallelism)
}

function checkEndpoint(endpoint: EndpointSpec | undefined): Refusal | undefined {
  const taken = new Set<string>()
  for (const port of endpoint?.Ports ?? []) {
    const { TargetPort: target = 0, PublishedPort: published = 0 } = port
    if (!isPort(target) || target === 0) {
      return invalid(`EndpointSpec: TargetPort must be from 1 to 65535, got ${target}`)
    }
    if (!isPort(published)) {
      return invalid(`EndpointSpec: PublishedPort must be from 0 to 65535, got ${published}`)
    }
    if (endpoint?.Mode === "dnsrr" && isIngress(port)) {
      return invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
    }
    if (published === 0) continue
    const key = `${protocolOf(port)}/${published}`
    if (taken.has(key)) return invalid("EndpointSpec: duplicate published ports provided")
    taken.add(key)
  }
  return undefined
}

/** A container that has its machine's interfaces, or none, is on no other network; Swarm rejects each of its tasks. */
function checkOwnNetwork(spec: ServiceSpec): Refusal | undefined {
  const targets = networksOf(spec)
  const own = targets.find(standsAlone)
  if (own === undefined) return undefined
  if (targets.length > 1) {
    return invalid(`TaskTemplate.Networks: ${own} must be the only network, got ${targets.length}`)
  }
  return usesIngress(spec)
    ? invalid(
        `TaskTemplate.Networks: ${own} can't be used with ports published with ingress mode or an HTTP entrance`
      )
    : undefined
}

const isPort = (port: number): boolean => port >= 0 && port <= 65_535

const notNegative = (field: string, value: number | undefined): Refusal | undefined =>
  (value ?? 0) < 0 ? invalid(`${field} must not be negative, got ${value}`) : undefined
