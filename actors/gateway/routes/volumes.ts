/**
 * `/volumes`: Engine API, tag Volume. Those of the cluster are ours, all others are the node's Engine's, and a client
 * sees one list. Where both have one of a name it is the Engine's that is meant, as with Docker.
 */
import { Effect } from "effect"
import { decodeBody, readBody, readJson } from "#actors/gateway/body.ts"
import type { EngineAnswer, EngineUnreachable } from "#actors/gateway/engine-client.ts"
import { find } from "#actors/gateway/find.ts"
import {
  allow,
  byId,
  type Call,
  current,
  filtersOf,
  findOrRefuse,
  type Gateway,
  type Handled,
  ledgerOf,
  orRefuse,
  type Route,
  write
} from "#actors/gateway/gateway.ts"
import { type Filters, hasLabels, isOneOf, valuesOf } from "#actors/gateway/parse-filters.ts"
import { isOn, parseVersionIndex } from "#actors/gateway/parse-query.ts"
import { type Answer, created, done, gone, isRefusal, ok, refusing } from "#actors/gateway/response.ts"
import { volumeResource } from "#actors/gateway/shape/volume.ts"
import { checkVolumeUpdate, completeVolume } from "#actors/gateway/validate/check-volume.ts"
import { refuseUntil } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { outOfSequence, Refused } from "#actors/model/errors.ts"
import type { Volume } from "#actors/model/objects.ts"
import { VolumeCreateRequest, VolumeUpdateRequest } from "#actors/model/spec.ts"

const listFilters = ["dangling", "driver", "label", "name"]

const passOn = ({ status, body }: EngineAnswer): Answer =>
  body === undefined || body === "" ? { status } : { status, text: JSON.stringify(body) }

const unreachable = (error: EngineUnreachable): Refused => refusing("unavailable", error.message)

const ask = (gateway: Gateway, call: Call, body?: unknown): Effect.Effect<EngineAnswer, Refused> => {
  const { search } = new URL(call.request.url, "http://localhost")
  return gateway.engine.call(call.method, `${call.path}${search}`, body).pipe(Effect.mapError(unreachable))
}

/** The state, or nothing where there is none to be had: the Engine's own volumes are shown all the same. */
const ours = (gateway: Gateway): Effect.Effect<LedgerReader | undefined> =>
  current(gateway).pipe(Effect.catch(() => Effect.succeed(undefined)))

/** Whether this node's own Engine has a volume of that name; without an Engine nobody has. */
const isEngines = (gateway: Gateway, name: string): Effect.Effect<boolean> =>
  gateway.engine.call("GET", `/volumes/${encodeURIComponent(name)}`).pipe(
    Effect.map(({ status }) => status === 200),
    Effect.catch(() => Effect.succeed(false))
  )

/** The cluster's volume that a request means, if it means one. */
const meant = Effect.fnUntraced(function* (gateway: Gateway, call: Call) {
  const reader = yield* ours(gateway)
  const volume = reader && find(reader, "volume", call.param("name"))
  if (volume === undefined || isRefusal(volume)) return undefined
  return (yield* isEngines(gateway, call.param("name"))) ? undefined : volume
})

function isListed({ Spec, PublishStatus }: Volume, filters: Filters): boolean {
  const dangling = valuesOf(filters, "dangling")[0]
  const names = valuesOf(filters, "name")
  return (
    isOneOf(filters, "driver", Spec.Driver.Name ?? "") &&
    (names.length === 0 || names.some((name) => Spec.Name.includes(name))) &&
    hasLabels(filters, "label", Spec.Labels) &&
    (dangling === undefined || (dangling === "true" || dangling === "1") === (PublishStatus.length === 0))
  )
}

const listVolumes = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const filters = yield* orRefuse(filtersOf(call, listFilters))
    const reader = yield* ours(gateway)
    if (reader === undefined || reader.count("volume") === 0) return passOn(yield* ask(gateway, call))
    const mine = byId(reader.all("volume")).filter((volume) => isListed(volume, filters))
    // Without an Engine the cluster's volumes can still be seen.
    const answer = yield* ask(gateway, call).pipe(
      Effect.catch(() => Effect.succeed({ status: 200, headers: {}, body: { Volumes: [], Warnings: null } }))
    )
    if (answer.status !== 200) return passOn(answer)
    const theirs = answer.body as { readonly Volumes?: ReadonlyArray<unknown> | null }
    return ok({ ...theirs, Volumes: [...(theirs.Volumes ?? []), ...mine.map(volumeResource)] })
  })

const inspectVolume = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const volume = yield* meant(gateway, call)
    return volume === undefined ? passOn(yield* ask(gateway, call)) : ok(volumeResource(volume))
  })

const createVolume = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const json = yield* readJson(call.request)
    if ((json as { readonly ClusterVolumeSpec?: unknown } | undefined)?.ClusterVolumeSpec == null) {
      return passOn(yield* ask(gateway, call, json ?? {}))
    }
    const asked = yield* decodeBody(VolumeCreateRequest, json)
    yield* ledgerOf(gateway)
    const reader = yield* current(gateway)
    yield* allow(refuseUntil(reader, "volume.create", "cluster volumes"))
    const { spec } = yield* orRefuse(completeVolume(reader, asked))
    const id = gateway.fresh.id()
    const volume = { ID: id, Spec: spec, PublishStatus: [] }
    yield* write(
      gateway,
      call,
      { type: "volume.create", v: 1, volume },
      (after) => after.get("volume", id) !== undefined
    )
    const made = (yield* current(gateway)).get("volume", id)
    return made === undefined ? created({ Name: spec.Name }) : created(volumeResource(made))
  })

const updateVolume = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const { Spec: asked = {} } = yield* readBody(call.request, VolumeUpdateRequest)
    const { version } = yield* orRefuse(parseVersionIndex(call.query, "volume"))
    yield* ledgerOf(gateway)
    const volume = yield* findOrRefuse(yield* current(gateway), "volume", call.param("name"))
    const { availability } = yield* orRefuse(checkVolumeUpdate(volume.Spec, asked))
    if (version !== volume.Version.Index) return yield* Refused.of(outOfSequence)
    yield* write(
      gateway,
      call,
      { type: "volume.update", v: 1, id: volume.ID, version, availability },
      (after) => after.get("volume", volume.ID)?.Spec.Availability === availability
    )
    return done
  })

const removeVolume = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const volume = yield* meant(gateway, call)
    if (volume === undefined) return passOn(yield* ask(gateway, call))
    const command = { type: "volume.remove", v: 1, id: volume.ID, force: isOn(call.query, "force") } as const
    yield* write(
      gateway,
      call,
      command,
      (after) => after.get("volume", volume.ID)?.PendingDelete !== undefined
    )
    return gone
  })

export const volumeRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/volumes", handle: listVolumes },
  { method: "POST", path: "/volumes/create", handle: createVolume },
  { method: "GET", path: "/volumes/:name", handle: inspectVolume },
  { method: "PUT", path: "/volumes/:name", handle: updateVolume },
  { method: "DELETE", path: "/volumes/:name", handle: removeVolume }
]
