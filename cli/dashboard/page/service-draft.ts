/**
 * A service as a form has it, in lines as the docker CLI takes them: what of it would be asked for, what a change of it comes
 * to, and the commands that do the same. What a form does not show stays as it is.
 */
import { parseDuration } from "#actors/model/duration.ts"
import { quoted } from "#actors/model/shell-word.ts"
import { readBytes } from "#cli/compose/read-units.ts"
import { flags, linesOf, recordOf } from "./lines.ts"
import { type Said, saidOf } from "./said.ts"
import { splitWords } from "./split-words.ts"

export interface ServiceDraft {
  readonly name: string
  readonly image: string
  readonly args: string
  readonly mode: string
  /** Of a job, how many are to be complete in the end. */
  readonly replicas: string
  /** Of a job, how many run at a time at most; empty where all may. */
  readonly concurrent: string
  /** `8080:80/tcp` a line, or `published=8080,target=80,protocol=tcp,mode=host`. */
  readonly ports: string
  readonly env: string
  /** `data:/data`, `/srv:/srv:ro`. */
  readonly mounts: string
  /** Names, a line each. */
  readonly networks: string
  readonly secrets: string
  readonly configs: string
  readonly constraints: string
  readonly labels: string
  readonly cpus: string
  readonly memory: string
  readonly parallelism: string
  readonly delay: string
  readonly order: string
  readonly failure: string
  readonly health: string
  readonly interval: string
}
export type FieldName = keyof ServiceDraft

export const emptyService: ServiceDraft = {
  name: "",
  image: "",
  args: "",
  mode: "replicated",
  replicas: "1",
  concurrent: "",
  ports: "",
  env: "",
  mounts: "",
  networks: "",
  secrets: "",
  configs: "",
  constraints: "",
  labels: "",
  cpus: "",
  memory: "",
  parallelism: "1",
  delay: "",
  order: "stop-first",
  failure: "pause",
  health: "",
  interval: ""
}

export interface Port {
  readonly Protocol?: string
  readonly TargetPort: number
  readonly PublishedPort?: number
  readonly PublishMode?: string
}
interface Limits {
  readonly NanoCPUs?: number
  readonly MemoryBytes?: number
}
/** As much of a spec as is changed. */
export interface Spec {
  readonly Labels?: Readonly<Record<string, string>>
  readonly TaskTemplate: {
    readonly ContainerSpec?: { readonly Env?: ReadonlyArray<string> }
    readonly Placement?: { readonly Constraints?: ReadonlyArray<string> }
    readonly Resources?: { readonly Limits?: Limits }
  }
  readonly EndpointSpec?: { readonly Ports?: ReadonlyArray<Port> }
}

/** What there is to choose from. */
export type Choices = Readonly<
  Record<"networks" | "secrets" | "configs", ReadonlyArray<{ readonly id: string; readonly name: string }>>
>

/** A field that says nothing that can be asked for, and what is expected there. */
export class Wrong extends Error {
  readonly field: FieldName

  constructor(field: FieldName, message: string) {
    super(message)
    this.field = field
  }
}

const showPort = ({ Protocol = "tcp", TargetPort, PublishedPort, PublishMode = "ingress" }: Port): string =>
  PublishMode === "host"
    ? [
        "mode=host",
        `target=${TargetPort}`,
        ...((PublishedPort ?? 0) > 0 ? [`published=${PublishedPort}`] : []),
        `protocol=${Protocol}`
      ].join(",")
    : `${(PublishedPort ?? 0) > 0 ? `${PublishedPort}:` : ""}${TargetPort}/${Protocol}`

function readPort(line: string): Port {
  const expected = `${line}: expected PUBLISHED:TARGET, such as 8080:80/tcp, or mode=host,target=80,published=8080`
  const whole = (text: string | undefined): number => {
    if (text === undefined || !/^\d{1,5}$/.test(text) || Number(text) > 65_535)
      throw new Wrong("ports", expected)
    return Number(text)
  }
  if (line.includes("=")) {
    const {
      target,
      published,
      protocol = "tcp",
      mode = "ingress",
      ...more
    } = recordOf(line.replaceAll(",", "\n"))
    if (Object.keys(more).length > 0) throw new Wrong("ports", expected)
    return {
      Protocol: protocol,
      TargetPort: whole(target),
      ...(published !== undefined && { PublishedPort: whole(published) }),
      PublishMode: mode
    }
  }
  const [, published, target, protocol = "tcp"] = /^(?:(\d+):)?(\d+)(?:\/(\w+))?$/.exec(line) ?? []
  return {
    Protocol: protocol,
    TargetPort: whole(target),
    ...(published !== undefined && { PublishedPort: whole(published) }),
    PublishMode: "ingress"
  }
}

interface Mount {
  readonly Type: string
  readonly Source?: string
  readonly Target: string
  readonly ReadOnly?: boolean
}
function readMount(line: string): Mount {
  const [source = "", target = "", access, ...more] = line.split(":")
  const isBind = source.startsWith("/")
  if (!target.startsWith("/") || more.length > 0 || (access !== undefined && access !== "ro"))
    throw new Wrong(
      "mounts",
      `${line}: expected SOURCE:/TARGET or SOURCE:/TARGET:ro, the source a volume or a path`
    )
  return {
    Type: isBind ? "bind" : "volume",
    ...(source !== "" && { Source: source }),
    Target: target,
    ...(access === "ro" && { ReadOnly: true })
  }
}

function readCpus(text: string): number {
  if (text.trim() === "") return 0
  const count = Number(text)
  if (!(count > 0)) throw new Wrong("cpus", `${text}: expected a number of CPUs, such as 0.5`)
  return Math.round(count * 1e9)
}
function readMemory(text: string): number {
  if (text.trim() === "") return 0
  const bytes = readBytes(text.trim())
  if (bytes === undefined) throw new Wrong("memory", `${text}: expected a size, such as 64M or 1G`)
  return bytes
}
function readTime(field: "delay" | "interval", text: string): number | undefined {
  if (text.trim() === "") return undefined
  const ms = parseDuration(text.trim())
  if (ms === undefined) throw new Wrong(field, `${text}: expected a time, such as 10s or 1m30s`)
  return ms * 1e6
}
function readCount(field: "replicas" | "parallelism" | "concurrent", text: string): number {
  if (!/^\d{1,9}$/.test(text.trim())) throw new Wrong(field, `${text}: expected a whole number`)
  return Number(text)
}
function readConcurrent(text: string): number {
  const count = readCount("concurrent", text)
  if (count === 0) throw new Wrong("concurrent", `${text}: expected 1 or more: none would ever run`)
  return count
}
function readEnv(line: string): string {
  if (!/^[^=]+=/.test(line)) throw new Wrong("env", `${line}: expected NAME=VALUE`)
  return line
}

/** So that it is read again as the same. */
export function showBytes(bytes: number): string {
  const units = ["", "K", "M", "G"]
  let at = 0
  let count = bytes
  while (count >= 1024 && count % 1024 === 0 && at < 3) {
    count /= 1024
    at += 1
  }
  return bytes === 0 ? "" : `${count}${units[at]}`
}

function chosen(field: keyof Choices, draft: ServiceDraft, choices: Choices) {
  return linesOf(draft[field]).map((name) => {
    const found = choices[field].find((one) => one.name === name)
    if (found === undefined)
      throw new Wrong(field, `${name}: there is no such ${field.slice(0, -1)} any more`)
    return found
  })
}

const limitsOf = ({ cpus, memory }: ServiceDraft): Limits => {
  const [NanoCPUs, MemoryBytes] = [readCpus(cpus), readMemory(memory)]
  return { ...(NanoCPUs > 0 && { NanoCPUs }), ...(MemoryBytes > 0 && { MemoryBytes }) }
}

const readable = { UID: "0", GID: "0", Mode: 0o444 }

const isUsual = (draft: ServiceDraft, field: FieldName): boolean =>
  draft[field].trim() === emptyService[field]

const updates = ["parallelism", "delay", "order", "failure"] as const
/** Jobs run to their end, and are not updated task by task. */
export const isJob = ({ mode }: Pick<ServiceDraft, "mode">): boolean => mode.endsWith("-job")

function modeOf({ mode, replicas, concurrent }: ServiceDraft) {
  switch (mode) {
    case "global":
      return { Global: {} }
    case "global-job":
      return { GlobalJob: {} }
    case "replicated-job": {
      const TotalCompletions = readCount("replicas", replicas)
      const MaxConcurrent = concurrent.trim() === "" ? TotalCompletions : readConcurrent(concurrent)
      return { ReplicatedJob: { TotalCompletions, MaxConcurrent } }
    }
    default:
      return { Replicated: { Replicas: readCount("replicas", replicas) } }
  }
}

function updateOf(draft: ServiceDraft) {
  if (isJob(draft)) return undefined
  const Delay = readTime("delay", draft.delay)
  const Parallelism = readCount("parallelism", draft.parallelism)
  if (updates.every((field) => isUsual(draft, field))) return undefined
  return {
    Parallelism,
    ...(Delay !== undefined && { Delay }),
    Order: draft.order,
    FailureAction: draft.failure
  }
}

/** What is sent to create it, but for the image's digest. Throws `Wrong`. */
export function specOf(draft: ServiceDraft, choices: Choices) {
  const limits = limitsOf(draft)
  const ports = linesOf(draft.ports).map(readPort)
  const interval = readTime("interval", draft.interval)
  const UpdateConfig = updateOf(draft)
  const args = splitWords(draft.args)
  const networks = chosen("networks", draft, choices)
  const secrets = chosen("secrets", draft, choices)
  const configs = chosen("configs", draft, choices)
  return {
    Name: draft.name.trim(),
    Labels: recordOf(draft.labels),
    Mode: modeOf(draft),
    TaskTemplate: {
      ContainerSpec: {
        Image: draft.image.trim(),
        ...(args.length > 0 && { Args: args }),
        Env: linesOf(draft.env).map(readEnv),
        Mounts: linesOf(draft.mounts).map(readMount),
        ...(draft.health.trim() !== "" && {
          Healthcheck: {
            Test: ["CMD-SHELL", draft.health.trim()],
            ...(interval !== undefined && { Interval: interval })
          }
        }),
        Secrets: secrets.map(({ id, name }) => ({
          SecretID: id,
          SecretName: name,
          File: { Name: name, ...readable }
        })),
        Configs: configs.map(({ id, name }) => ({
          ConfigID: id,
          ConfigName: name,
          File: { Name: `/${name}`, ...readable }
        }))
      },
      Networks: networks.map(({ id }) => ({ Target: id })),
      Placement: { Constraints: linesOf(draft.constraints) },
      Resources: { Limits: limits }
    },
    ...(UpdateConfig !== undefined && { UpdateConfig }),
    EndpointSpec: { Ports: ports }
  }
}

function mountFlag(line: string): string {
  const [source = "", target = "", access] = line.split(":")
  return [
    `type=${source.startsWith("/") ? "bind" : "volume"}`,
    ...(source === "" ? [] : [`source=${source}`]),
    `target=${target}`,
    ...(access === "ro" ? ["readonly"] : [])
  ].join(",")
}

/** As far as it is filled in. */
export function createCommand(draft: ServiceDraft): string {
  const each = (flag: string, field: FieldName): ReadonlyArray<string> => flags(flag, linesOf(draft[field]))
  const one = (flag: string, field: FieldName): ReadonlyArray<string> =>
    isUsual(draft, field) ? [] : [flag, quoted(draft[field].trim())]
  return [
    "docker service create",
    ...one("--name", "name"),
    ...(draft.mode === "replicated" ? one("--replicas", "replicas") : ["--mode", draft.mode]),
    // Without a number of them the CLI asks for as many as may run at a time.
    ...(draft.mode === "replicated-job"
      ? ["--replicas", quoted(draft.replicas.trim()), ...one("--max-concurrent", "concurrent")]
      : []),
    ...each("--publish", "ports"),
    ...each("--env", "env"),
    ...flags("--mount", linesOf(draft.mounts).map(mountFlag)),
    ...each("--network", "networks"),
    ...each("--secret", "secrets"),
    ...each("--config", "configs"),
    ...each("--constraint", "constraints"),
    ...one("--limit-cpu", "cpus"),
    ...one("--limit-memory", "memory"),
    ...(isJob(draft)
      ? []
      : [
          ...one("--update-parallelism", "parallelism"),
          ...one("--update-delay", "delay"),
          ...one("--update-order", "order"),
          ...one("--update-failure-action", "failure")
        ]),
    ...one("--health-cmd", "health"),
    ...one("--health-interval", "interval"),
    ...each("--label", "labels"),
    quoted(draft.image.trim() || "IMAGE"),
    ...splitWords(draft.args).map(quoted)
  ].join(" ")
}

/** Those that the form of a service that is there shows. */
export const edited = ["env", "ports", "constraints", "labels", "cpus", "memory"] as const
export type Edited = (typeof edited)[number]
export type Edit = Pick<ServiceDraft, Edited>

/** A line cannot show it. */
const isHidden = (text: string): boolean => text.includes("\n") || text !== text.trim()

export function editOf({ Labels = {}, TaskTemplate, EndpointSpec }: Spec): Edit {
  const { ContainerSpec, Placement, Resources } = TaskTemplate
  const { NanoCPUs = 0, MemoryBytes = 0 } = Resources?.Limits ?? {}
  const lines = (all: ReadonlyArray<string>): string => all.filter((text) => !isHidden(text)).join("\n")
  return {
    env: lines(ContainerSpec?.Env ?? []),
    ports: lines((EndpointSpec?.Ports ?? []).map(showPort)),
    constraints: lines(Placement?.Constraints ?? []),
    labels: lines(Object.entries(Labels).map(([key, value]) => `${key}=${value}`)),
    cpus: NanoCPUs === 0 ? "" : `${NanoCPUs / 1e9}`,
    memory: showBytes(MemoryBytes)
  }
}

/** `spec` with what was edited, all else as it is. Throws `Wrong`. */
export function withEdit<S extends Spec>(spec: S, edit: Edit): S {
  const { Labels = {}, TaskTemplate, EndpointSpec } = spec
  const { ContainerSpec, Placement, Resources } = TaskTemplate
  const before = new Map((EndpointSpec?.Ports ?? []).map((port) => [showPort(port), port]))
  const ports = linesOf(edit.ports).map((line) => {
    const read = readPort(line)
    return before.get(showPort(read)) ?? read
  })
  const labels = Object.entries(Labels).filter(([key, value]) => isHidden(`${key}=${value}`))
  const { NanoCPUs: _cpus, MemoryBytes: _memory, ...limits } = Resources?.Limits ?? {}
  return {
    ...spec,
    Labels: { ...recordOf(edit.labels), ...Object.fromEntries(labels) },
    TaskTemplate: {
      ...TaskTemplate,
      ContainerSpec: {
        ...ContainerSpec,
        Env: [...linesOf(edit.env).map(readEnv), ...(ContainerSpec?.Env ?? []).filter(isHidden)]
      },
      Placement: { ...Placement, Constraints: linesOf(edit.constraints) },
      Resources: { ...Resources, Limits: { ...limits, ...limitsOf({ ...emptyService, ...edit }) } }
    },
    EndpointSpec: { ...EndpointSpec, Ports: ports }
  }
}

export interface Changed {
  readonly field: Edited
  readonly gone: ReadonlyArray<string>
  readonly come: ReadonlyArray<string>
}

/** What an edit takes away and puts there, line by line. */
export const changesOf = (before: Edit, after: Edit): ReadonlyArray<Changed> =>
  edited.flatMap((field) => {
    const [old, fresh] = [linesOf(before[field]), linesOf(after[field])]
    const gone = old.filter((line) => !fresh.includes(line))
    const come = fresh.filter((line) => !old.includes(line))
    return gone.length === 0 && come.length === 0 ? [] : [{ field, gone, come }]
  })

const nameIn = (line: string): string => line.split("=")[0] ?? line

export function updateCommand(name: string, changes: ReadonlyArray<Changed>): string {
  const words = changes.flatMap(({ field, gone, come }) => {
    const left = gone.map(nameIn).filter((key) => !come.map(nameIn).includes(key))
    switch (field) {
      case "env":
        return [...flags("--env-rm", left), ...flags("--env-add", come)]
      case "labels":
        return [...flags("--label-rm", left), ...flags("--label-add", come)]
      case "constraints":
        return [...flags("--constraint-rm", gone), ...flags("--constraint-add", come)]
      case "ports":
        return [
          ...gone.flatMap((line) => {
            try {
              const { TargetPort, Protocol } = readPort(line)
              return ["--publish-rm", `${TargetPort}/${Protocol}`]
            } catch {
              return []
            }
          }),
          ...flags("--publish-add", come)
        ]
      case "cpus":
        return ["--limit-cpu", quoted(come[0] ?? "0")]
      default:
        return ["--limit-memory", quoted(come[0] ?? "0")]
    }
  })
  return ["docker service update", ...words, name].join(" ")
}

/** By words of the gateway that tell of a field. */
export const serviceHints: ReadonlyArray<readonly [field: FieldName, words: RegExp]> = [
  ["cpus", /cpu value/i],
  ["memory", /memory value/i],
  ["constraints", /constraint|expected one of|Placement/i],
  ["health", /HealthConfig/],
  ["parallelism", /Parallelism|update-/i],
  ["concurrent", /concurrent/i],
  ["replicas", /replicas|completions|completed/i],
  ["mounts", /mount|volume/i],
  ["secrets", /secret/i],
  ["configs", /config (reference|not found)|config:/i],
  ["ports", /port\b|ports|EndpointSpec/i],
  ["networks", /network/i],
  ["image", /repository|ContainerSpec|image/i],
  ["labels", /label/i],
  ["name", /name|exists/i]
]

/** What was wrong, beside the field that it tells of. */
export const saidOfService = (cause: Error): Said<FieldName> =>
  cause instanceof Wrong ? { [cause.field]: cause.message } : saidOf(cause.message, serviceHints)
