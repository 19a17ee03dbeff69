/**
 * `/networks`: Engine API, tag Network. Overlays are ours, all others are the Engine's, and a client sees one list.
 *
 * On a node an overlay is a bridge of its Engine; those bridges carry our label and are shown to nobody.
 */
import { Effect } from "effect"
import { networkLabel } from "#actors/drivers/labels.ts"
import { decodeBody, readJson } from "#actors/gateway/body.ts"
import type { EngineAnswer, EngineUnreachable } from "#actors/gateway/engine-client.ts"
import { find, findExactly } from "#actors/gateway/find.ts"
import {
  allow,
  byId,
  type Call,
  current,
  filtersOf,
  type Gateway,
  type Handled,
  noManager,
  orRefuse,
  type Route,
  write
} from "#actors/gateway/gateway.ts"
import { type Filters, hasLabels, hasPrefix, isOneOf, valuesOf } from "#actors/gateway/parse-filters.ts"
import { parseSwitch } from "#actors/gateway/parse-query.ts"
import { parseUntil } from "#actors/gateway/parse-until.ts"
import { type Answer, created, gone, isRefusal, ok, refused, refusing } from "#actors/gateway/response.ts"
import {
  type EndpointInfo,
  isUsed,
  networkPeers,
  networkResource,
  networkUse,
  predefinedResource
} from "#actors/gateway/shape/network.ts"
import {
  checkEncryption,
  checkNetwork,
  checkSubnets,
  isOurs
} from "#actors/gateway/validate/check-network.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, Refused, refuse } from "#actors/model/errors.ts"
import type { Network } from "#actors/model/objects.ts"
import { NetworkCreateRequest } from "#actors/model/spec.ts"
import { toMs } from "#actors/model/time.ts"

const listFilters = ["driver", "type", "name", "id", "label", "scope", "dangling", "config-only", "idOrName"]
const pruneFilters = ["until", "label", "label!"]

interface EngineNetwork {
  readonly Id: string
  readonly Name: string
  readonly Labels?: Readonly<Record<string, string>> | null
  readonly Containers?: Readonly<Record<string, EndpointInfo>> | null
}

const labelOf = (network: EngineNetwork): string | undefined => network.Labels?.[networkLabel]

const passOn = ({ status, body }: EngineAnswer): Answer =>
  body === undefined || body === "" ? { status } : { status, text: JSON.stringify(body) }

const unreachable = (error: EngineUnreachable): Refused => refusing("unavailable", error.message)

const ask = (
  gateway: Gateway,
  method: string,
  path: string,
  body?: unknown
): Effect.Effect<EngineAnswer, Refused> =>
  gateway.engine.call(method, path, body).pipe(Effect.mapError(unreachable))

/** The state, or nothing where there is none to be had: the Engine's own networks are shown all the same. */
const ours = (gateway: Gateway): Effect.Effect<LedgerReader | undefined> =>
  current(gateway).pipe(Effect.catch(() => Effect.succeed(undefined)))

const searchOf = (call: Call): string => new URL(call.request.url, "http://localhost").search

function isListed(reader: LedgerReader, network: Network, filters: Filters): boolean {
  const dangling = valuesOf(filters, "dangling")[0]
  return (
    isOneOf(filters, "driver", network.Driver) &&
    isOneOf(filters, "scope", "swarm") &&
    isOneOf(filters, "type", "custom") &&
    isOneOf(filters, "config-only", "false") &&
    hasPrefix(filters, "name", network.Name) &&
    hasPrefix(filters, "id", network.ID) &&
    hasLabels(filters, "label", network.Labels) &&
    (dangling === undefined || (dangling === "true" || dangling === "1") !== isUsed(reader, network))
  )
}

const listNetworks = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const filters = yield* orRefuse(filtersOf(call, listFilters))
    const reader = yield* ours(gateway)
    const mine =
      reader === undefined
        ? []
        : byId(reader.all("network"))
            .filter((network) => isListed(reader, network, filters))
            .map((network) => networkResource(network))
    const asked = gateway.engine.call("GET", `/networks${searchOf(call)}`)
    // Without an Engine the cluster's networks can still be seen.
    const answer = yield* reader === undefined
      ? asked.pipe(Effect.mapError(unreachable))
      : asked.pipe(Effect.catch(() => Effect.succeed({ status: 200, headers: {}, body: [] })))
    if (answer.status !== 200 || !Array.isArray(answer.body)) return passOn(answer)
    const theirs = (answer.body as ReadonlyArray<EngineNetwork>).filter(
      (network) => labelOf(network) === undefined
    )
    return ok([...mine, ...theirs])
  })

const describe = Effect.fnUntraced(function* (
  gateway: Gateway,
  call: Call,
  reader: LedgerReader,
  network: Network
): Effect.fn.Return<Answer, Refused> {
  const { on: verbose } = yield* orRefuse(parseSwitch(call.query, "verbose"))
  const containers = yield* containersOf(gateway, network)
  const resource = { ...networkResource(network, containers), ...networkPeers(reader, network) }
  return ok(verbose ? { ...resource, ...networkUse(reader, network) } : resource)
})

/** Containers of this node on the network, `null` when there is no part of it here. */
const containersOf = (
  gateway: Gateway,
  network: Network
): Effect.Effect<Readonly<Record<string, EndpointInfo>> | null> =>
  Effect.gen(function* () {
    const filters = encodeURIComponent(JSON.stringify({ label: [`${networkLabel}=${network.ID}`] }))
    const { body } = yield* gateway.engine.call("GET", `/networks?filters=${filters}`)
    const [bridge] = Array.isArray(body) ? (body as ReadonlyArray<EngineNetwork>) : []
    if (bridge === undefined) return null
    const { status, body: found } = yield* gateway.engine.call("GET", `/networks/${bridge.Id}`)
    return status === 200 ? ((found as EngineNetwork).Containers ?? {}) : null
  }).pipe(Effect.catch(() => Effect.succeed(null)))

const inspectNetwork = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const input = call.param("id")
    const scope = call.query.get("scope") ?? ""
    const reader = scope === "" || scope === "swarm" ? yield* ours(gateway) : undefined
    const network = findExactly(reader, input)
    if (reader !== undefined && network !== undefined) return yield* describe(gateway, call, reader, network)
    if (reader !== undefined && scope === "swarm") {
      // Swarm does not know `none`.
      if (input === "host" || input === "bridge") {
        return ok(predefinedResource(input, reader.cluster()?.CreatedAt ?? ""))
      }
      return yield* describe(gateway, call, reader, yield* orRefuse<Network>(find(reader, "network", input)))
    }
    const answer = yield* ask(gateway, "GET", `/networks/${encodeURIComponent(input)}${searchOf(call)}`).pipe(
      Effect.catch((error) => (reader === undefined ? Effect.fail(error) : Effect.succeed(notThere(input))))
    )
    if (reader === undefined) return passOn(answer)
    // A bridge of ours by the Engine's own name for it is the overlay that it belongs to.
    const hidden = answer.status === 200 ? labelOf(answer.body as EngineNetwork) : undefined
    if (answer.status === 200 && hidden === undefined) return passOn(answer)
    const begun = find(reader, "network", hidden ?? input)
    if (!isRefusal(begun)) return yield* describe(gateway, call, reader, begun)
    return begun.code === "notFound" ? passOn(answer) : refused(begun)
  })

const notThere = (input: string): EngineAnswer => ({
  status: 404,
  headers: {},
  body: { message: `network ${input} not found` }
})

const nameTaken = (name: string): Refusal =>
  refuse("alreadyExists", `network with name ${name} already exists`)

const createNetwork = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const json = yield* readJson(call.request)
    const asked = yield* decodeBody(NetworkCreateRequest, json)
    const name = asked.Name ?? ""
    if (!isOurs(asked)) {
      const reader = yield* ours(gateway)
      if (name !== "" && reader?.byName("network", name) !== undefined) {
        return yield* Refused.of(nameTaken(name))
      }
      return passOn(yield* ask(gateway, "POST", "/networks/create", json ?? {}))
    }
    // The Engine forbids this one where elsewhere it says that it is unavailable.
    if (gateway.membership() !== "active/manager") {
      const inactive = { ...gateway, membership: () => "inactive" as const }
      return yield* refusing("forbidden", noManager(inactive).message)
    }
    const cluster = yield* current(gateway)
    yield* allow(checkNetwork(asked) ?? checkEncryption(asked, cluster.all("node")))
    if (yield* isEnginesName(gateway, name)) return yield* Refused.of(nameTaken(name))
    if (cluster.byName("network", name) === undefined)
      yield* allow(checkSubnets(asked, cluster.all("network")))
    const id = gateway.fresh.id()
    yield* write(
      gateway,
      call,
      {
        type: "network.create",
        v: 1,
        network: {
          ID: id,
          Name: name,
          Driver: "overlay",
          Scope: "swarm",
          Internal: asked.Internal ?? false,
          Attachable: asked.Attachable ?? false,
          Ingress: asked.Ingress ?? false,
          EnableIPv6: asked.EnableIPv6 ?? false,
          IPAM: asked.IPAM === undefined ? {} : { ...asked.IPAM, Driver: asked.IPAM.Driver || "default" },
          Options: asked.Options ?? {},
          Labels: asked.Labels ?? {}
        }
      },
      (after) => after.get("network", id) !== undefined
    )
    return created({ Id: id, Warning: "" })
  })

/** One name, one network: the Engine's own count too. */
const isEnginesName = (gateway: Gateway, name: string): Effect.Effect<boolean> =>
  gateway.engine.call("GET", `/networks/${encodeURIComponent(name)}`).pipe(
    Effect.map(({ status, body }) => {
      if (status !== 200) return false
      const network = body as EngineNetwork
      return network.Name === name && labelOf(network) === undefined
    }),
    Effect.catch(() => Effect.succeed(false))
  )

const removeNetwork = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const input = call.param("id")
    const reader = yield* ours(gateway)
    const network = findExactly(reader, input)
    if (network !== undefined) return yield* remove(gateway, call, network)
    const known = yield* ask(gateway, "GET", `/networks/${encodeURIComponent(input)}`).pipe(
      Effect.catch((error) => (reader === undefined ? Effect.fail(error) : Effect.succeed(notThere(input))))
    )
    const hidden = known.status === 200 ? labelOf(known.body as EngineNetwork) : undefined
    const isTheirs = known.status === 200 && hidden === undefined
    if (reader === undefined || isTheirs) {
      return passOn(yield* ask(gateway, "DELETE", `/networks/${encodeURIComponent(input)}`))
    }
    return yield* remove(gateway, call, yield* orRefuse<Network>(find(reader, "network", hidden ?? input)))
  })

const remove = (gateway: Gateway, call: Call, { ID: id }: Network): Effect.Effect<Answer, Refused> =>
  write(
    gateway,
    call,
    { type: "network.remove", v: 1, id },
    (after) => after.get("network", id) === undefined
  ).pipe(Effect.as(gone))

const pruneNetworks = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const filters = yield* orRefuse(filtersOf(call, pruneFilters))
    const until = yield* orRefuse(parseUntil(valuesOf(filters, "until"), gateway.clock()))
    const reader = yield* ours(gateway)
    // Our own bridges come and go with their tasks; the Engine is to leave them alone.
    const kept = new Map(filters)
    kept.set("label!", new Set([...valuesOf(filters, "label!"), networkLabel]))
    const answer = yield* ask(gateway, "POST", `/networks/prune?filters=${encodeURIComponent(show(kept))}`)
    if (answer.status !== 200) return passOn(answer)
    const theirs = (answer.body as { readonly NetworksDeleted?: ReadonlyArray<string> | null })
      .NetworksDeleted
    const deleted = [...(theirs ?? [])]
    for (const network of reader === undefined ? [] : byId(reader.all("network"))) {
      if (reader === undefined || isUsed(reader, network)) continue
      if (until.before !== undefined && toMs(network.CreatedAt) > until.before) continue
      if (!hasLabels(filters, "label", network.Labels)) continue
      const unwanted = valuesOf(filters, "label!")
      if (unwanted.length > 0 && hasLabels(filters, "label!", network.Labels)) continue
      // What came into use meanwhile is refused, and stays.
      const done = yield* remove(gateway, call, network).pipe(
        Effect.as(true),
        Effect.catch(() => Effect.succeed(false))
      )
      if (done) deleted.push(network.Name)
    }
    return ok({ NetworksDeleted: deleted.length === 0 ? null : deleted })
  })

const show = (filters: Filters): string =>
  JSON.stringify(
    Object.fromEntries(
      [...filters].map(([key, values]) => [
        key,
        Object.fromEntries([...values].map((value) => [value, true]))
      ])
    )
  )

export const networkRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/networks", handle: listNetworks },
  { method: "POST", path: "/networks/create", handle: createNetwork },
  { method: "POST", path: "/networks/prune", handle: pruneNetworks },
  { method: "GET", path: "/networks/:id", handle: inspectNetwork },
  { method: "DELETE", path: "/networks/:id", handle: removeNetwork }
]
