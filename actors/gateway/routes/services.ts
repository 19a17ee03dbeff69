/** `/services`: Engine API, tag Service. Logs are elsewhere, they stream. */

import { Effect } from "effect"
import { readBody } from "#actors/gateway/body.ts"
import {
  allow,
  byId,
  type Call,
  current,
  deciding,
  filtersOf,
  findOrRefuse,
  type Gateway,
  type Handled,
  isKnown,
  orRefuse,
  type Route,
  reading,
  write
} from "#actors/gateway/gateway.ts"
import { inventName } from "#actors/gateway/invent-name.ts"
import { compareVersions } from "#actors/gateway/negotiate.ts"
import { hasLabels, hasPrefix, isOneOf } from "#actors/gateway/parse-filters.ts"
import { parseSwitch, parseVersionIndex } from "#actors/gateway/parse-query.ts"
import { type Answer, created, done, isRefusal, list, ok, okText } from "#actors/gateway/response.ts"
import { countTasks, serviceText } from "#actors/gateway/shape/service.ts"
import { checkAutoscale } from "#actors/gateway/validate/check-autoscale.ts"
import { checkCertificate } from "#actors/gateway/validate/check-certificate.ts"
import { checkExtras } from "#actors/gateway/validate/check-extras.ts"
import { checkServiceLabels } from "#actors/gateway/validate/check-labels.ts"
import { checkService, checkShape } from "#actors/gateway/validate/check-service.ts"
import { completeService } from "#actors/gateway/validate/complete-service.ts"
import { checkFiles, resolveNetworks, unknownNetwork } from "#actors/gateway/validate/resolve-references.ts"
import { refuseUntil } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { publishesLogs, publishLogsLabel } from "#actors/logs/publish/policy.ts"
import { outOfSequence, type Refusal, Refused, refuse, rpc } from "#actors/model/errors.ts"
import { askedExtras } from "#actors/model/extras.ts"
import { byAcme, httpRouteOf, tlsLabel } from "#actors/model/http-route.ts"
import type { Service } from "#actors/model/objects.ts"
import { equal, modeOf } from "#actors/model/service-facts.ts"
import { ServiceSpec } from "#actors/model/spec.ts"
import { toIso } from "#actors/model/time.ts"
import { acmeHostOf, certificateOf } from "#actors/network/certificates.ts"
import { publishLabel } from "#actors/network/publish-at.ts"

/** Statuses in lists are there since this version. */
const firstWithStatus = "1.41"
const acceptedFilters = ["name", "id", "label", "mode", "runtime"]

function listServices(reader: LedgerReader, call: Call): Answer | Refusal {
  const filters = filtersOf(call, acceptedFilters)
  if (isRefusal(filters)) return filters
  const status = parseSwitch(call.query, "status")
  if (isRefusal(status)) return status
  const withStatus = status.on && compareVersions(call.version, firstWithStatus) >= 0
  const texts: Array<string> = []
  for (const service of byId(reader.all("service"))) {
    const { Spec: spec } = service
    const wanted =
      hasPrefix(filters, "name", spec.Name ?? "") &&
      hasPrefix(filters, "id", service.ID) &&
      hasLabels(filters, "label", spec.Labels) &&
      isOneOf(filters, "mode", modeOf(spec)) &&
      isOneOf(filters, "runtime", spec.TaskTemplate?.Runtime ?? "container")
    if (wanted) {
      texts.push(serviceText(service, withStatus ? { status: countTasks(reader, service) } : {}))
    }
  }
  return list(texts)
}

const inspectService = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const { on: insertDefaults } = yield* orRefuse(parseSwitch(call.query, "insertDefaults"))
    const reader = yield* current(gateway)
    const service = yield* findOrRefuse(reader, "service", call.param("id"))
    return okText(serviceText(service, { insertDefaults }))
  })

interface Prepared {
  readonly spec: ServiceSpec
  /** What whoever asks should know of a spec that can be meant. */
  readonly Warnings: ReadonlyArray<string> | null
}

/** The spec of a request, checked, completed, and with ids for names. `before` is what an update changes. */
const prepare = Effect.fnUntraced(function* (
  gateway: Gateway,
  reader: LedgerReader,
  asked: ServiceSpec,
  before?: ServiceSpec
): Effect.fn.Return<Prepared, Refused> {
  const resolved = resolveNetworks(reader, asked)
  if ("unknown" in resolved) return yield* Refused.of(yield* whyNoNetwork(gateway, resolved.unknown))
  // A network that may not be used is refused after faults in the spec itself.
  const spec = "spec" in resolved ? resolved.spec : asked
  yield* allow(checkShape(spec))
  const completed = completeService(spec, before)
  yield* allow(checkService(completed))
  yield* allow(checkServiceLabels(completed, before))
  if (completed.Labels?.[publishLabel] !== undefined)
    yield* allow(refuseUntil(reader, "ports at addresses", `label ${publishLabel}`))
  if (httpRouteOf(completed) !== undefined)
    yield* allow(refuseUntil(reader, "http routes", "labels troupe.http.host and troupe.http.path"))
  if (certificateOf(completed) !== undefined)
    yield* allow(refuseUntil(reader, "http tls", `label ${tlsLabel}`))
  if (acmeHostOf(completed) !== undefined)
    yield* allow(refuseUntil(reader, "http acme", `label ${tlsLabel} "${byAcme}"`))
  if (publishesLogs(completed.Labels))
    yield* allow(refuseUntil(reader, "logs published", `label ${publishLogsLabel}`))
  yield* allow(checkAutoscale(reader, completed))
  yield* allow(checkExtras(completed, reader.cluster()?.Spec))
  if ("refusal" in resolved) return yield* Refused.of(resolved.refusal)
  yield* allow(checkFiles(reader, completed))
  const { isFault, says } = checkCertificate(reader, completed, gateway.clock())
  // Whoever scales a service whose certificate has ended meanwhile is told so, not stopped.
  const isNew = certificateOf(completed) !== certificateOf(before)
  if (isFault && isNew) return yield* Refused.of(refuse("invalidArgument", says.join("; ")))
  return { spec: completed, Warnings: says.length === 0 ? null : says }
})

/** The Engine may know the network: then it is the wrong kind, rather than missing. */
const whyNoNetwork = (gateway: Gateway, name: string): Effect.Effect<Refusal> =>
  gateway.engine.call("GET", `/networks/${encodeURIComponent(name)}`).pipe(
    Effect.map(({ status }) =>
      status === 200
        ? refuse(
            "forbidden",
            `The network ${name} cannot be used with services. Only networks scoped to the swarm can be used, such as those created with the overlay driver.`
          )
        : unknownNetwork(name)
    ),
    Effect.catch(() => Effect.succeed(unknownNetwork(name)))
  )

const authOf = (call: Call): { readonly text?: string } => {
  const text = call.request.headers.get("x-registry-auth")
  return text === null || text === "" ? {} : { text }
}

/** What only the cluster can allow is decided over what it allows now. */
const asksExtras = ({ TaskTemplate: template }: ServiceSpec): boolean =>
  Object.keys(askedExtras(template?.ContainerSpec?.Labels)).length > 0

const createService = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const asked = yield* readBody(call.request, ServiceSpec)
    const id = gateway.fresh.id()
    const { text: auth } = authOf(call)
    const create = Effect.fnUntraced(function* (reader: LedgerReader): Effect.fn.Return<Answer, Refused> {
      const name =
        asked.Name || inventName(gateway.fresh, (taken) => reader.byName("service", taken) !== undefined)
      const { spec, Warnings } = yield* prepare(gateway, reader, { ...asked, Name: name })
      const isJob = modeOf(spec).endsWith("job")
      yield* write(
        gateway,
        call,
        {
          type: "service.create",
          v: 1,
          service: {
            ID: id,
            Spec: spec,
            SpecVersion: 1,
            ...(isJob
              ? { JobStatus: { JobIteration: { Index: 0 }, LastExecution: toIso(gateway.clock()) } }
              : {}),
            ...(auth === undefined ? {} : { RegistryAuth: auth })
          }
        },
        (after) => after.get("service", id) !== undefined
      )
      return created({ ID: id, Warnings })
    })
    return yield* deciding(gateway, create, () => !asksExtras(asked))
  })

/** What an update must not do to the service that is there. */
function checkUpdateOf(service: Service, spec: ServiceSpec): Refusal | undefined {
  const networksAtService = !equal(service.Spec.Networks ?? [], spec.Networks ?? [])
  const sameInTask = equal(service.Spec.TaskTemplate?.Networks ?? [], spec.TaskTemplate?.Networks ?? [])
  if (networksAtService && sameInTask) {
    return rpc("notImplemented", "networks must be migrated to TaskSpec before being changed")
  }
  if (modeOf(service.Spec) !== modeOf(spec)) {
    return rpc("notImplemented", "service mode change is not allowed")
  }
  return (service.Spec.Name ?? "") === (spec.Name ?? "")
    ? undefined
    : rpc("notImplemented", "renaming services is not supported")
}

/** `registryAuthFrom` and `rollback` of an update, or what is wrong with them. */
function optionsOf(
  call: Call,
  service: Service
): { readonly from: "spec" | "previous-spec"; readonly rollback: boolean } | Refusal {
  const from = call.query.get("registryAuthFrom") || "spec"
  const rollback = call.query.get("rollback") || "none"
  const usesStored = authOf(call).text === undefined
  if (usesStored && from !== "spec" && from !== "previous-spec") {
    return refuse("unknown", "unsupported registryAuthFrom value")
  }
  if (usesStored && from === "previous-spec" && service.PreviousSpec === undefined) {
    return refuse("unknown", "service does not have a previous spec")
  }
  if (rollback !== "none" && rollback !== "previous") {
    return refuse("unknown", `unrecognized rollback option ${rollback}`)
  }
  return { from: from === "previous-spec" ? from : "spec", rollback: rollback === "previous" }
}

const updateService = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const asked = yield* readBody(call.request, ServiceSpec)
    const { version } = yield* orRefuse(parseVersionIndex(call.query, "service"))
    const { text: auth } = authOf(call)
    const input = call.param("id")
    const update = Effect.fnUntraced(function* (reader: LedgerReader): Effect.fn.Return<Answer, Refused> {
      const service = yield* findOrRefuse(reader, "service", input)
      const options = yield* orRefuse(optionsOf(call, service))
      const { spec, Warnings } = yield* prepare(gateway, reader, asked, service.Spec)
      yield* allow(checkUpdateOf(service, spec))
      if (options.rollback && service.PreviousSpec === undefined) {
        return yield* Refused.of(
          rpc("failedPrecondition", `service ${service.ID} does not have a previous spec`)
        )
      }
      if (version !== service.Version.Index) return yield* Refused.of(outOfSequence)
      const previous = options.rollback ? service.PreviousSpec : undefined
      const wanted = previous ?? spec
      const target = { type: "service.update", v: 1, id: service.ID, version } as const
      yield* write(
        gateway,
        call,
        previous === undefined
          ? {
              ...target,
              spec,
              ...(auth === undefined ? { registryAuthFrom: options.from } : { registryAuth: auth })
            }
          : service.JobStatus === undefined
            ? { ...target, spec, rollback: "previous" }
            : // A job has no tasks to be brought back: it is begun again, as by any update.
              { ...target, spec: previous, registryAuthFrom: "previous-spec" },
        (after) => {
          const found = after.get("service", service.ID)
          return found !== undefined && found.Version.Index > version && equal(found.Spec, wanted)
        }
      )
      return ok({ Warnings })
    })
    return yield* deciding(
      gateway,
      update,
      (reader) => isKnown(reader, "service", input) && !asksExtras(asked)
    )
  })

const removeService = (gateway: Gateway, call: Call): Handled => {
  const input = call.param("id")
  const remove = Effect.fnUntraced(function* (reader: LedgerReader): Effect.fn.Return<Answer, Refused> {
    const { ID: id } = yield* findOrRefuse(reader, "service", input)
    yield* write(
      gateway,
      call,
      { type: "service.remove", v: 1, id },
      (after) => after.get("service", id) === undefined
    )
    return done
  })
  return deciding(gateway, remove, (reader) => isKnown(reader, "service", input))
}

export const serviceRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/services", handle: reading(listServices) },
  { method: "POST", path: "/services/create", handle: createService },
  { method: "GET", path: "/services/:id", handle: inspectService },
  { method: "DELETE", path: "/services/:id", handle: removeService },
  { method: "POST", path: "/services/:id/update", handle: updateService }
]
