/**
 * Requests that the Engine carries out but that name a network of ours: the container gets an address from the leader,
 * the network's bridge is made here if it is missing, and the request goes on with the bridge in the network's place.
 * Everything else is not touched.
 *
 * Until all managers keep such containers (`keepsAttached`), addresses are the Engine's choice, from a range that no task
 * gets (`manual-range.ts`).
 */
import { Buffer } from "node:buffer"
import { Effect } from "effect"
import type { ExecutorService } from "#actors/drivers/executor.ts"
import { networkLabel } from "#actors/drivers/labels.ts"
import type { Attachments } from "#actors/gateway/attachments.ts"
import type { EngineClientService } from "#actors/gateway/engine-client.ts"
import { findExactly } from "#actors/gateway/find.ts"
import type { Gateway } from "#actors/gateway/gateway.ts"
import type { Interceptor, Verdict } from "#actors/gateway/listener.ts"
import {
  type GivenPlace,
  type NamedNetwork,
  namedInConnect,
  namedInCreate,
  placeInConnect,
  placeInCreate
} from "#actors/gateway/name-networks.ts"
import { splitVersion } from "#actors/gateway/negotiate.ts"
import { refused as refusalAnswer } from "#actors/gateway/response.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { refuse as makeRefusal, Refused } from "#actors/model/errors.ts"
import type { Network, Node } from "#actors/model/objects.ts"
import { keepsAttached, refuseAttaching } from "#actors/network/allot-attached.ts"
import { planOf } from "#actors/network/plan.ts"

export interface InterceptOptions {
  readonly gateway: Pick<Gateway, "ledger" | "nodeId" | "membership">
  readonly engine: Pick<EngineClientService, "call">
  readonly executor: Pick<ExecutorService, "ensureNetwork">
  readonly attachments: Pick<Attachments, "join">
}

const createPath = "/containers/create"
const startPath = /^\/containers\/([^/]+)\/(?:start|restart)$/
const networkPath = /^\/networks\/([^/]+)\/(connect|disconnect)$/

const pass: Verdict = { _tag: "Pass" }
const answer = (status: number, message: string): Verdict => ({ _tag: "Answer", status, message })

export function makeInterceptor({ gateway, engine, executor, attachments }: InterceptOptions): Interceptor {
  const reader = (): LedgerReader | undefined => gateway.ledger()?.read
  /** Its bridges have its own addresses. */
  const here = (): Node | undefined => reader()?.get("node", gateway.nodeId)

  /** The place of the container in each network that is ours, or why it has none. */
  const resolve = (
    named: ReadonlyArray<NamedNetwork>,
    container: string | undefined
  ): Effect.Effect<{ readonly places: ReadonlyMap<string, GivenPlace> } | { readonly refused: Verdict }> =>
    Effect.gen(function* () {
      const places = new Map<string, GivenPlace>()
      for (const one of named) {
        const place = yield* placeIn(one, container)
        if (place !== undefined) places.set(one.name, place)
      }
      return { places }
    }).pipe(
      Effect.catch(({ refusal }) =>
        Effect.succeed({ refused: answer(refusalAnswer(refusal).status, refusal.message) })
      )
    )

  const placeIn = Effect.fnUntraced(function* (
    { name, ipv4, aliases }: NamedNetwork,
    container: string | undefined
  ): Effect.fn.Return<GivenPlace | undefined, Refused> {
    const known = reader()
    const network = findExactly(known, name)
    if (known === undefined ? !(yield* mayBeOurs(name)) : network === undefined) return undefined
    if (known === undefined || keepsAttached(known)) {
      const asked = { network: network?.ID ?? name, name: container, aliases, ipv4 }
      return yield* attachments.join(asked).pipe(
        // A worker learns from the leader that the network is nobody's.
        Effect.catchIf(
          ({ refusal }) => known === undefined && refusal.code === "notFound",
          () => Effect.succeed(undefined)
        )
      )
    }
    if (network === undefined) return undefined
    const refused = refuseAttaching(network, ipv4)
    if (refused !== undefined) return yield* Refused.of(refused)
    return yield* bridgeOf(network).pipe(
      Effect.map((bridge) => ({ bridge })),
      Effect.catch(({ message }) => Effect.fail(Refused.of(makeRefusal("unknown", message))))
    )
  })

  /** A worker has no list of networks: whatever is not the Engine's own may be the cluster's. */
  const mayBeOurs = (name: string): Effect.Effect<boolean> =>
    gateway.membership() === "active/worker"
      ? engine.call("GET", `/networks/${encodeURIComponent(name)}`).pipe(
          Effect.map(({ status, body }) => {
            const labels = (body as { readonly Labels?: Readonly<Record<string, string>> | null } | undefined)
              ?.Labels
            return status === 404 || (status === 200 && labels?.[networkLabel] !== undefined)
          }),
          Effect.catch(() => Effect.succeed(false))
        )
      : Effect.succeed(false)

  /**
   * The name of the network's bridge; its id where that name means two networks. The name is what a container
   * remembers as its network mode, and what `docker inspect` shows.
   */
  const bridgeOf = (network: Network) =>
    Effect.gen(function* () {
      const id = yield* executor.ensureNetwork(planOf(network, here()))
      const { status, body } = yield* engine.call("GET", "/networks")
      if (status !== 200 || !Array.isArray(body)) return id
      const there = body as ReadonlyArray<{ readonly Id: string; readonly Name: string }>
      const name = there.find(({ Id }) => Id === id)?.Name
      return name !== undefined && there.filter(({ Name }) => Name === name).length === 1 ? name : id
    })

  const judgeCreate = (url: string, body: Uint8Array): Effect.Effect<Verdict> =>
    Effect.gen(function* () {
      const request = parse(body)
      const container = new URL(url, "http://localhost").searchParams.get("name") ?? undefined
      const resolved = yield* resolve(namedInCreate(request), container)
      if ("refused" in resolved) return resolved.refused
      if (resolved.places.size === 0) return pass
      const rewritten = Buffer.from(JSON.stringify(placeInCreate(request, resolved.places)))
      return { _tag: "Pass", rewrite: { body: rewritten } }
    })

  const judgeConnect = (url: string, name: string, verb: string, body: Uint8Array): Effect.Effect<Verdict> =>
    Effect.gen(function* () {
      const request = parse(body)
      if (verb === "connect") {
        const named = (request as { readonly Container?: unknown } | undefined)?.Container
        const container = typeof named === "string" ? yield* nameOf(named) : undefined
        const resolved = yield* resolve([namedInConnect(name, request)], container)
        if ("refused" in resolved) return resolved.refused
        const place = resolved.places.get(name)
        if (place === undefined) return pass
        const rewritten = Buffer.from(JSON.stringify(placeInConnect(request, place)))
        return { _tag: "Pass", rewrite: { url: onto(url, place.bridge), body: rewritten } }
      }
      const network = findExactly(reader(), name)
      if (network === undefined) return pass
      // Whatever is on it may leave it; a bridge that is not there is the Engine's to complain about.
      const bridge = yield* bridgeOf(network).pipe(Effect.catch(() => Effect.succeed(undefined)))
      return bridge === undefined ? pass : { _tag: "Pass", rewrite: { url: onto(url, bridge) } }
    })

  /** What a container is called, whatever it was named by. */
  const nameOf = (container: string): Effect.Effect<string> =>
    engine.call("GET", `/containers/${encodeURIComponent(container)}/json`).pipe(
      Effect.map(({ status, body }) =>
        status === 200
          ? ((body as { readonly Name?: string }).Name ?? container).replace(/^\//, "")
          : container
      ),
      Effect.catch(() => Effect.succeed(container))
    )

  /**
   * A stopped container may outlive its network's bridge. The bridge is made again, and because the Engine keeps the
   * id of the one that is gone, the container is taken off it and put on the new one before it starts.
   */
  const judgeStart = (container: string): Effect.Effect<Verdict> =>
    Effect.gen(function* () {
      const { status, body } = yield* engine.call("GET", `/containers/${container}/json`)
      if (status !== 200) return pass
      for (const [name, endpoint] of Object.entries(endpointsOf(body))) {
        const network = findExactly(reader(), name)
        if (network?.Attachable !== true) continue
        const bridge = yield* executor.ensureNetwork(planOf(network, here()))
        const { NetworkID, IPAMConfig, Aliases, Links, DriverOpts } = endpoint
        if (NetworkID === bridge) continue
        yield* engine.call("POST", `/networks/${encodeURIComponent(name)}/disconnect`, {
          Container: container,
          Force: true
        })
        yield* engine.call("POST", `/networks/${bridge}/connect`, {
          Container: container,
          EndpointConfig: { IPAMConfig, Aliases, Links, DriverOpts }
        })
      }
      return pass
    }).pipe(Effect.catch(() => Effect.succeed(pass)))

  const hasAttachable = (): boolean => {
    for (const network of reader()?.all("network") ?? []) if (network.Attachable) return true
    return false
  }

  return {
    wants: (method, path) =>
      method === "POST" &&
      (path === createPath || networkPath.test(path) || (startPath.test(path) && hasAttachable())),
    judge: (_method, url, body) => {
      const { path } = splitVersion(url)
      const started = startPath.exec(path)?.[1]
      if (started !== undefined) return judgeStart(started)
      const [, name, verb] = networkPath.exec(path) ?? []
      return name === undefined || verb === undefined
        ? judgeCreate(url, body)
        : judgeConnect(url, decodeURIComponent(name), verb, body)
    }
  }
}

interface Endpoint {
  readonly NetworkID?: string
  readonly IPAMConfig?: unknown
  readonly Aliases?: unknown
  readonly Links?: unknown
  readonly DriverOpts?: unknown
}

/** The networks of a container that does not run, by name; none of one that does, which has what it needs. */
function endpointsOf(inspected: unknown): Readonly<Record<string, Endpoint>> {
  const { State, NetworkSettings } = inspected as {
    readonly State?: { readonly Running?: boolean }
    readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, Endpoint>> | null }
  }
  return State?.Running === true ? {} : (NetworkSettings?.Networks ?? {})
}

/** The same request for the bridge by the Engine's name. */
const onto = (url: string, bridge: string): string =>
  url.replace(/\/networks\/[^/?]+\//, () => `/networks/${encodeURIComponent(bridge)}/`)

/** What is not JSON goes to the Engine as it is, which says so. */
function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"))
  } catch {
    return undefined
  }
}
