/** What entries about services do to the tables; every spec is judged against what exists now. */

import {
  type At,
  born,
  failedPrecondition,
  invalid,
  least,
  notFound,
  type Of,
  touched,
  type Verdict
} from "#actors/ledger/apply/verdict.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { outOfSequence, type Refusal, rpc } from "#actors/model/errors.ts"
import {
  byAcme,
  type HttpRoute,
  httpRouteOf,
  keyOfRoute,
  mostHttpRoutes,
  tlsLabel
} from "#actors/model/http-route.ts"
import type { Service } from "#actors/model/objects.ts"
import {
  isIngress,
  modeOf,
  networksOf,
  protocolOf,
  sameTemplate,
  showPort
} from "#actors/model/service-facts.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { areApart } from "#actors/network/publish-at.ts"

/** Why a spec cannot stand beside what exists now: something it names is gone, or a port or a route is taken. */
export function conflictOf(tables: LedgerReader, id: string, spec: ServiceSpec): Refusal | undefined {
  for (const target of networksOf(spec)) {
    // Networks that are not ours (`host`, a node's own bridge) are named, and are each node's business.
    if (/^[a-z0-9]{25}$/.test(target) && tables.get("network", target) === undefined) {
      return notFound("network", target)
    }
  }
  for (const secret of spec.TaskTemplate?.ContainerSpec?.Secrets ?? []) {
    if (tables.get("secret", secret.SecretID ?? "") === undefined) {
      return invalid(`secret not found: ${secret.SecretName ?? secret.SecretID ?? ""}`)
    }
  }
  for (const config of spec.TaskTemplate?.ContainerSpec?.Configs ?? []) {
    if (config.Runtime === undefined || config.File !== undefined) {
      if (tables.get("config", config.ConfigID ?? "") === undefined) {
        return invalid(`config not found: ${config.ConfigName ?? config.ConfigID ?? ""}`)
      }
    }
  }
  const level = tables.cluster()?.FeatureLevel ?? 0
  const route = routeAt(level, spec)
  if (route !== undefined) {
    const taken = routeTaken(tables, level, id, route)
    if (taken !== undefined) return taken
    const before = tables.get("service", id)
    // Who has a route already keeps it, so that whatever else is changed of it goes on.
    const isNew = before === undefined || httpRouteOf(before.Spec) === undefined
    const tooMany = isNew && level >= levelOf["http routes are counted"] ? noRoom(tables, route) : undefined
    if (tooMany !== undefined) return tooMany
    const secret = route.tls?.secret ?? byAcme
    if (secret !== byAcme && tables.byName("secret", secret) === undefined)
      return invalid(`secret not found: ${secret} (label ${tlsLabel})`)
  }
  return portTaken(tables, level, id, spec)
}

/** Why a service cannot publish what it asks for, where the cluster's members are of that feature level. */
export function portTaken(
  tables: LedgerReader,
  level: number,
  id: string,
  spec: ServiceSpec
): Refusal | undefined {
  const mayShare = level >= levelOf["ports at addresses"]
  for (const port of spec.EndpointSpec?.Ports ?? []) {
    const number = port.PublishedPort ?? 0
    if (number === 0) continue
    for (const other of tables.servicesPublishing(protocolOf(port), number)) {
      if (other.ID === id) continue
      const theirs = [...(other.Spec.EndpointSpec?.Ports ?? []), ...(other.Endpoint?.Ports ?? [])]
      const held = theirs.find((candidate) => showPort(candidate) === showPort(port))
      // Two services may both want a host's port: the scheduler keeps them on different nodes.
      if (held === undefined || (!isIngress(port) && !isIngress(held))) continue
      if (mayShare && isIngress(port) && isIngress(held) && areApart(spec.Labels, other.Spec.Labels)) continue
      const how = isIngress(held) ? "as an ingress port" : "as a host-published port"
      return invalid(
        `port '${number}' is already in use by service '${other.Spec.Name ?? other.ID}' (${other.ID}) ${how}`
      )
    }
  }
  return undefined
}

/** As members of that level see it: those before there was TLS do not understand what asks for it. */
function routeAt(level: number, spec: ServiceSpec): HttpRoute | undefined {
  const route = level >= levelOf["http routes"] ? httpRouteOf(spec) : undefined
  const { tls } = route ?? {}
  const least = tls === undefined ? 0 : levelOf[tls.secret === byAcme ? "http acme" : "http tls"]
  return level < least ? undefined : route
}

/** Why a service cannot have that route: another has it. */
export function routeTaken(
  tables: LedgerReader,
  level: number,
  id: string,
  route: HttpRoute
): Refusal | undefined {
  const { host, path } = route
  const key = keyOfRoute(route)
  const holder = least(tables.all("service"), (other) => {
    const theirs = other.ID === id ? undefined : routeAt(level, other.Spec)
    return theirs !== undefined && keyOfRoute(theirs) === key
  })
  if (holder === undefined) return undefined
  const name = tables.get("service", holder)?.Spec.Name ?? holder
  return invalid(
    `labels troupe.http.host ${JSON.stringify(host)}, troupe.http.path ${JSON.stringify(path)}: expected what no other service has, but service '${name}' (${holder}) has them`
  )
}

/** Why no service more can have a route; `undefined` while one can. */
function noRoom(tables: LedgerReader, { host }: HttpRoute): Refusal | undefined {
  let count = 0
  for (const { Spec } of tables.all("service")) if (httpRouteOf(Spec) !== undefined) count += 1
  return count < mostHttpRoutes
    ? undefined
    : invalid(
        `label troupe.http.host ${JSON.stringify(host)}: expected at most ${mostHttpRoutes} services with a route, as many as an HTTP entrance leads to, but ${count} have one already`
      )
}

export function createService(tables: LedgerTables, at: At, { service }: Of<"service.create">): Verdict {
  const name = service.Spec.Name ?? ""
  if (tables.get("service", service.ID) !== undefined || tables.byName("service", name) !== undefined) {
    return rpc("alreadyExists", `name conflicts with an existing object: service ${name} already exists`)
  }
  const conflict = conflictOf(tables, service.ID, service.Spec)
  if (conflict !== undefined) return conflict
  tables.put("service", { ...service, ...born(at) })
  return { id: service.ID }
}

export function updateService(tables: LedgerTables, at: At, command: Of<"service.update">): Verdict {
  const service = tables.get("service", command.id)
  if (service === undefined) return notFound("service", command.id)
  if (service.Version.Index !== command.version) return outOfSequence
  if (command.rollback === "previous") {
    if (service.PreviousSpec === undefined) {
      return failedPrecondition(`service ${service.ID} does not have a previous spec`)
    }
    const conflict = conflictOf(tables, service.ID, service.PreviousSpec)
    if (conflict !== undefined) return conflict
    tables.put("service", {
      ...swapped(service),
      PreviousSpec: service.Spec,
      PreviousSpecVersion: service.SpecVersion,
      UpdateStatus: { State: "rollback_started", StartedAt: at.time, Message: "manually requested rollback" },
      ...touched(at)
    })
    return { id: service.ID }
  }
  if ((command.spec.Name ?? "") !== (service.Spec.Name ?? "")) {
    return rpc("notImplemented", "renaming services is not supported")
  }
  if (modeOf(command.spec) !== modeOf(service.Spec)) {
    return rpc("notImplemented", "service mode change is not allowed")
  }
  const conflict = conflictOf(tables, service.ID, command.spec)
  if (conflict !== undefined) return conflict
  const auth =
    command.registryAuth ??
    (command.registryAuthFrom === "previous-spec" ? service.PreviousRegistryAuth : service.RegistryAuth)
  const { UpdateStatus: _status, RegistryAuth: _auth, PreviousRegistryAuth: _previous, ...kept } = service
  const isJob = service.JobStatus !== undefined
  tables.put("service", {
    ...kept,
    Spec: command.spec,
    SpecVersion: nextSpecVersion(service, command.spec, at),
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    ...(auth === undefined ? {} : { RegistryAuth: auth }),
    ...(service.RegistryAuth === undefined ? {} : { PreviousRegistryAuth: service.RegistryAuth }),
    ...(isJob
      ? {
          JobStatus: {
            JobIteration: { Index: (service.JobStatus?.JobIteration.Index ?? 0) + 1 },
            LastExecution: at.time
          }
        }
      : {}),
    ...touched(at)
  })
  return { id: service.ID }
}

export function scaleService(tables: LedgerTables, at: At, command: Of<"service.scale">): Verdict {
  const service = tables.get("service", command.id)
  if (service === undefined) return notFound("service", command.id)
  if (service.Version.Index !== command.version) return outOfSequence
  if (modeOf(service.Spec) !== "replicated") {
    return rpc("notImplemented", "service mode change is not allowed")
  }
  const scaled = (spec: ServiceSpec): ServiceSpec => ({
    ...spec,
    Mode: { Replicated: { Replicas: command.replicas } }
  })
  tables.put("service", {
    ...service,
    Spec: scaled(service.Spec),
    ...(service.PreviousSpec !== undefined && { PreviousSpec: scaled(service.PreviousSpec) }),
    ...touched(at)
  })
  return { id: service.ID }
}

/** A changed template gets the entry's index, which no earlier template of the service can have. */
function nextSpecVersion(service: Service, spec: ServiceSpec, at: At): number {
  const same = sameTemplate(service.Spec.TaskTemplate, spec.TaskTemplate)
  const sameNetworks = sameTemplate(
    { Networks: service.Spec.Networks ?? [] },
    { Networks: spec.Networks ?? [] }
  )
  return same && sameNetworks ? service.SpecVersion : at.index
}

/** The service with its previous spec as its spec, and none before it. */
function swapped(service: Service): Service {
  const { PreviousSpec: spec, PreviousSpecVersion: version, ...rest } = service
  const { RegistryAuth: _auth, PreviousRegistryAuth: auth, ...plain } = rest
  return {
    ...plain,
    Spec: spec ?? service.Spec,
    SpecVersion: version ?? service.SpecVersion,
    ...(auth === undefined ? {} : { RegistryAuth: auth })
  }
}

export function progressService(tables: LedgerTables, at: At, command: Of<"service.progress">): Verdict {
  const service = tables.get("service", command.id)
  if (service === undefined) return notFound("service", command.id)
  if (service.Version.Index !== command.version) return outOfSequence
  const previous = command.rollback === true ? service.PreviousSpec : undefined
  const isJudged = (tables.cluster()?.FeatureLevel ?? 0) >= levelOf["rollbacks are judged"]
  const conflict = previous && isJudged ? conflictOf(tables, service.ID, previous) : undefined
  if (conflict !== undefined) return conflict
  // An automatic rollback uses the previous spec up: it can be asked for once only.
  const base = previous === undefined ? service : swapped(service)
  tables.put("service", { ...base, UpdateStatus: command.status, ...touched(at) })
  return { id: service.ID }
}

export function allotServices(tables: LedgerTables, at: At, command: Of<"service.allot">): Verdict {
  const skipped: Array<string> = []
  for (const { id, version, endpoint } of command.services) {
    const service = tables.get("service", id)
    if (service === undefined || (version !== undefined && service.Version.Index !== version)) {
      skipped.push(id)
      continue
    }
    tables.put("service", { ...service, Endpoint: endpoint, ...touched(at) })
  }
  return { skipped }
}

export function removeService(tables: LedgerTables, id: string): Verdict {
  if (tables.get("service", id) === undefined) return notFound("service", id)
  tables.remove("service", id)
  return { id }
}
