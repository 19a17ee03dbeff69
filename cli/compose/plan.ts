/** What is wanted beside what is there: what would have to be made, changed and removed. */
import type { Network, Node, Task } from "#actors/model/objects.ts"
import { replicasOf } from "#actors/model/service-facts.ts"
import type { ConfigSpec, SecretSpec, ServiceSpec, SwarmSpec } from "#actors/model/spec.ts"
import { isPredefined } from "#actors/network/predefined.ts"
import { type Desired, imageLabel } from "#cli/compose/translate.ts"

interface Versioned {
  readonly ID: string
  readonly Version: { readonly Index: number }
}
export interface PresentService extends Versioned {
  readonly Spec: ServiceSpec & { readonly Name: string }
  readonly UpdateStatus?: { readonly State: string; readonly Message?: string }
}
export interface PresentFile extends Versioned {
  readonly Spec: (SecretSpec | ConfigSpec) & { readonly Name: string }
}
export type PresentNetwork = Pick<Network, "Name" | "Driver" | "Labels"> & { readonly Id: string }

/** What the API lists: of the stack, and what the file names of others. */
export interface Present {
  readonly networks: ReadonlyArray<PresentNetwork>
  readonly secrets: ReadonlyArray<PresentFile>
  readonly configs: ReadonlyArray<PresentFile>
  readonly services: ReadonlyArray<PresentService>
  readonly nodes: ReadonlyArray<Node>
  readonly tasks: ReadonlyArray<Task>
  /** Of the whole cluster, where the node says it. */
  readonly swarm?: SwarmSpec | undefined
}

export type ObjectKind = "network" | "secret" | "config" | "service"
export interface Difference {
  /** `TaskTemplate.ContainerSpec.Image` */
  readonly field: string
  /** Absent where there was nothing, or will be nothing. */
  readonly before?: unknown
  readonly after?: unknown
}
export interface Step {
  readonly action: "create" | "update" | "remove" | "unchanged" | "refused"
  readonly kind: ObjectKind
  readonly name: string
  readonly id?: string
  readonly version?: number
  readonly differences: ReadonlyArray<Difference>
  /** What is sent to create or update it; names of networks, secrets and configs may still need their ids. */
  readonly body?: unknown
  readonly why?: string
}

/** Steps in an order in which they can be taken: what others need first, what nobody needs last. */
export function plan(
  desired: Desired,
  present: Present,
  inStack: (labels: Readonly<Record<string, string>> | undefined) => boolean,
  prune: boolean
): ReadonlyArray<Step> {
  return [
    ...missing(desired, present),
    ...desired.networks.map((network) => planNetwork(network, present)),
    ...desired.secrets.map((secret) => planFile("secret", secret, present.secrets)),
    ...desired.configs.map((config) => planFile("config", config, present.configs)),
    ...desired.services.map((service) => planService(service, present)),
    ...(prune ? removals(desired, present, inStack) : [])
  ]
}

export const changes = (steps: ReadonlyArray<Step>): ReadonlyArray<Step> =>
  steps.filter(({ action }) => action !== "unchanged")

function missing(desired: Desired, present: Present): ReadonlyArray<Step> {
  const there = {
    network: new Set(present.networks.map(({ Name }) => Name)),
    secret: new Set(present.secrets.map(({ Spec }) => Spec.Name)),
    config: new Set(present.configs.map(({ Spec }) => Spec.Name))
  }
  const named = [
    ...desired.external.networks
      .filter((name) => !isPredefined(name))
      .map((name) => ({ kind: "network", name }) as const),
    ...desired.external.secrets.map((name) => ({ kind: "secret", name }) as const),
    ...desired.external.configs.map((name) => ({ kind: "config", name }) as const)
  ]
  return named
    .filter(({ kind, name }) => !there[kind].has(name))
    .map(({ kind, name }) => ({
      action: "refused",
      kind,
      name,
      differences: [],
      why: `it is external, and not there: create it before`
    }))
}

function planNetwork(body: Desired["networks"][number], present: Present): Step {
  const found = present.networks.find(({ Name }) => Name === body.Name)
  const step = { kind: "network", name: body.Name, differences: [], body } as const
  if (found === undefined) return { ...step, action: "create" }
  if (found.Driver !== body.Driver) {
    const why = `it is there with driver ${found.Driver}, and networks cannot change: remove it, or name another`
    return { ...step, action: "refused", why }
  }
  return { ...step, action: "unchanged", id: found.Id }
}

/** What a secret holds is never told: whether it is the same shows when it is sent. */
function planFile(
  kind: "secret" | "config",
  body: (SecretSpec | ConfigSpec) & { readonly Name: string },
  present: ReadonlyArray<PresentFile>
): Step {
  const found = present.find(({ Spec }) => Spec.Name === body.Name)
  const step = { kind, name: body.Name, body } as const
  if (found === undefined) return { ...step, action: "create", differences: [] }
  const known = { ...step, id: found.ID, version: found.Version.Index }
  if (kind === "config" && found.Spec.Data !== body.Data) {
    const why = "it is there with other contents, and configs cannot change: give it another name"
    return { ...known, action: "refused", differences: [], why }
  }
  const differences = diff(found.Spec.Labels ?? {}, body.Labels ?? {}, "Labels")
  return { ...known, action: differences.length === 0 ? "unchanged" : "update", differences }
}

function planService(asked: Desired["services"][number], present: Present): Step {
  const found = present.services.find(({ Spec }) => Spec.Name === asked.Name)
  const step = { kind: "service", name: asked.Name } as const
  if (found === undefined) return { ...step, action: "create", differences: [], body: asked }
  const body = keepScaled(keepPinned(asked, found.Spec), found.Spec)
  const ids = new Map(present.networks.map(({ Id, Name }) => [Id, Name]))
  const differences = diff(comparable(found.Spec, ids), comparable(body, ids))
  const known = { ...step, id: found.ID, version: found.Version.Index, body, differences }
  return { ...known, action: differences.length === 0 ? "unchanged" : "update" }
}

/** The digest that an image's name stood for, and restarts asked for by hand, stay: as with docker stack deploy. */
function keepPinned<S extends ServiceSpec>(asked: S, found: ServiceSpec): S {
  const [template, before] = [asked.TaskTemplate ?? {}, found.TaskTemplate ?? {}]
  const isSameImage = asked.Labels?.[imageLabel] === found.Labels?.[imageLabel]
  const image = isSameImage ? before.ContainerSpec?.Image : undefined
  const platforms = isSameImage ? before.Placement?.Platforms : undefined
  return {
    ...asked,
    TaskTemplate: {
      ...template,
      ...(before.ForceUpdate === undefined ? {} : { ForceUpdate: before.ForceUpdate }),
      ContainerSpec: { ...template.ContainerSpec, ...(image === undefined ? {} : { Image: image }) },
      Placement: {
        ...(platforms === undefined ? {} : { Platforms: platforms }),
        ...template.Placement
      }
    }
  }
}

/** As many tasks as there are, where the file names no number: the service follows its load. */
const keepScaled = <S extends ServiceSpec>(asked: S, found: ServiceSpec): S => {
  const { Replicated: replicated } = asked.Mode ?? {}
  const isOpen = replicated !== undefined && replicated.Replicas === undefined
  return isOpen ? { ...asked, Mode: { Replicated: { Replicas: replicasOf(found) } } } : asked
}

/** Ids as the names that they stand for, and the defaults that the docker CLI writes out left out. */
function comparable(spec: ServiceSpec, networks: ReadonlyMap<string, string>): unknown {
  const template = spec.TaskTemplate ?? {}
  const attached = template.Networks ?? spec.Networks ?? []
  const container = template.ContainerSpec ?? {}
  return {
    ...spec,
    Networks: undefined,
    EndpointSpec: {
      ...spec.EndpointSpec,
      Mode: spec.EndpointSpec?.Mode === "vip" ? undefined : spec.EndpointSpec?.Mode
    },
    TaskTemplate: {
      ...template,
      Runtime: template.Runtime === "container" ? undefined : template.Runtime,
      Networks: attached.map((one) => ({ ...one, Target: networks.get(one.Target ?? "") ?? one.Target })),
      ContainerSpec: {
        ...container,
        Isolation: container.Isolation === "default" ? undefined : container.Isolation,
        Secrets: container.Secrets?.map(({ SecretID: _, ...rest }) => rest),
        Configs: container.Configs?.map(({ ConfigID: _, ...rest }) => rest)
      }
    }
  }
}

/** Fields whose zero says something else than their absence. */
const meaningful = /(^|\.)(Init|StopGracePeriod|Replicas|RestartPolicy\.(Delay|Window)|OomScoreAdj)$/

const isEmpty = (value: unknown, field: string): boolean => {
  if (value === undefined || value === null) return true
  if (value === "" || value === 0 || value === false) return !meaningful.test(field)
  if (Array.isArray(value)) return value.length === 0
  // A mode is its key: `{"Global": {}}`.
  if (/^Mode\.\w+$/.test(field)) return false
  if (typeof value !== "object") return false
  return Object.entries(value).every(([key, one]) => isEmpty(one, `${field}.${key}`))
}

/** Where two objects differ, field by field; an absent field and its zero value are one, as in the Engine's API. */
export function diff(before: unknown, after: unknown, field = ""): ReadonlyArray<Difference> {
  if (isEmpty(before, field) && isEmpty(after, field)) return []
  if (isRecord(before) && isRecord(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    return keys.flatMap((key) => diff(before[key], after[key], field === "" ? key : `${field}.${key}`))
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return before.flatMap((one, at) => diff(one, after[at], `${field}[${at}]`))
  }
  if (before === after) return []
  return [
    {
      field,
      ...(isEmpty(before, field) ? {} : { before }),
      ...(isEmpty(after, field) ? {} : { after })
    }
  ]
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

function removals(
  desired: Desired,
  present: Present,
  inStack: (labels: Readonly<Record<string, string>> | undefined) => boolean
): ReadonlyArray<Step> {
  const wanted = (list: ReadonlyArray<{ readonly Name: string }>, name: string): boolean =>
    list.some(({ Name }) => Name === name)
  const remove = (kind: ObjectKind, name: string, id: string): Step => ({
    action: "remove",
    kind,
    name,
    id,
    differences: []
  })
  const files = (kind: "secret" | "config") =>
    present[`${kind}s`]
      .filter(({ Spec }) => inStack(Spec.Labels) && !wanted(desired[`${kind}s`], Spec.Name))
      .map(({ ID, Spec }) => remove(kind, Spec.Name, ID))
  return [
    ...present.services
      .filter(({ Spec }) => inStack(Spec.Labels) && !wanted(desired.services, Spec.Name))
      .map(({ ID, Spec }) => remove("service", Spec.Name, ID)),
    ...files("secret"),
    ...files("config"),
    ...present.networks
      .filter(({ Name, Labels }) => inStack(Labels) && !wanted(desired.networks, Name))
      .map(({ Id, Name }) => remove("network", Name, Id))
  ]
}

/** Words for people; what is unchanged is only counted. */
export function showSteps(steps: ReadonlyArray<Step>): string {
  const signs = { create: "+", update: "~", remove: "-", refused: "!", unchanged: " " } as const
  const lines = changes(steps).flatMap(({ action, kind, name, differences, why }) => [
    `${signs[action]} ${action} ${kind} ${name}${why === undefined ? "" : `: ${why}`}`,
    ...differences.map(
      ({ field, ...sides }) => `    ${field}: ${showSide(sides.before)} → ${showSide(sides.after)}`
    )
  ])
  const unchanged = steps.filter(({ action }) => action === "unchanged").length
  return [...lines, `${lines.length === 0 ? "nothing to do; " : ""}${unchanged} unchanged`].join("\n")
}

const showSide = (value: unknown): string => (value === undefined ? "(none)" : JSON.stringify(value))
