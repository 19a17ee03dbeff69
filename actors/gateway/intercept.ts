/**
 * Requests that the Engine carries out but that name a network of ours: the network's bridge is made here if it is
 * missing, and the request goes on with the bridge in the network's place. Everything else is not touched.
 *
 * Addresses of such containers are the Engine's choice, from a range that no task gets (`manual-range.ts`).
 */
import { Buffer } from "node:buffer"
import { Effect } from "effect"
import type { ExecutorService } from "#actors/drivers/executor.ts"
import type { EngineClientService } from "#actors/gateway/engine-client.ts"
import { findExactly } from "#actors/gateway/find.ts"
import type { Gateway } from "#actors/gateway/gateway.ts"
import type { Interceptor, Verdict } from "#actors/gateway/listener.ts"
import {
  type NamedNetwork,
  namedInConnect,
  namedInCreate,
  renameInCreate
} from "#actors/gateway/name-networks.ts"
import { splitVersion } from "#actors/gateway/negotiate.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Network, Node } from "#actors/model/objects.ts"
import { holds, parseAddress, parseSubnet, showSubnet } from "#actors/network/ip.ts"
import { manualRange } from "#actors/network/manual-range.ts"
import { planOf } from "#actors/network/plan.ts"

export interface InterceptOptions {
  readonly gateway: Pick<Gateway, "ledger" | "nodeId">
  readonly engine: Pick<EngineClientService, "call">
  readonly executor: Pick<ExecutorService, "ensureNetwork">
}

const createPath = "/containers/create"
const startPath = /^\/containers\/([^/]+)\/(?:start|restart)$/
const networkPath = /^\/networks\/([^/]+)\/(connect|disconnect)$/

const pass: Verdict = { _tag: "Pass" }
const answer = (status: number, message: string): Verdict => ({ _tag: "Answer", status, message })

export function makeInterceptor({ gateway, engine, executor }: InterceptOptions): Interceptor {
  const reader = (): LedgerReader | undefined => gateway.ledger()?.read
  /** Its bridges have its own addresses. */
  const here = (): Node | undefined => reader()?.get("node", gateway.nodeId)

  /** What the Engine calls the bridge of each network that is ours, or why it may not be used. */
  const resolve = (
    named: ReadonlyArray<NamedNetwork>
  ): Effect.Effect<{ readonly names: ReadonlyMap<string, string> } | { readonly refused: Verdict }> =>
    Effect.gen(function* () {
      const names = new Map<string, string>()
      for (const { name, ipv4 } of named) {
        const network = findExactly(reader(), name)
        if (network === undefined) continue
        const refused = refuse(network, name, ipv4)
        if (refused !== undefined) return { refused }
        const bridge = yield* bridgeOf(network).pipe(
          Effect.match({
            onSuccess: (found) => ({ found }),
            onFailure: ({ message }) => ({ refused: answer(500, message) })
          })
        )
        if ("refused" in bridge) return bridge
        names.set(name, bridge.found)
      }
      return { names }
    })

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

  const judgeCreate = (body: Uint8Array): Effect.Effect<Verdict> =>
    Effect.gen(function* () {
      const request = parse(body)
      const resolved = yield* resolve(namedInCreate(request))
      if ("refused" in resolved) return resolved.refused
      if (resolved.names.size === 0) return pass
      const rewritten = Buffer.from(JSON.stringify(renameInCreate(request, resolved.names)))
      return { _tag: "Pass", rewrite: { body: rewritten } }
    })

  const judgeConnect = (url: string, name: string, verb: string, body: Uint8Array): Effect.Effect<Verdict> =>
    Effect.gen(function* () {
      const network = findExactly(reader(), name)
      if (network === undefined) return pass
      let bridge: string | undefined
      if (verb === "connect") {
        const resolved = yield* resolve([namedInConnect(name, parse(body))])
        if ("refused" in resolved) return resolved.refused
        bridge = resolved.names.get(name)
      } else {
        // Whatever is on it may leave it; a bridge that is not there is the Engine's to complain about.
        bridge = yield* bridgeOf(network).pipe(Effect.catch(() => Effect.succeed(undefined)))
      }
      if (bridge === undefined) return pass
      const rewritten = url.replace(/\/networks\/[^/?]+\//, () => `/networks/${encodeURIComponent(bridge)}/`)
      return { _tag: "Pass", rewrite: { url: rewritten } }
    })

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
        ? judgeCreate(body)
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

function refuse(network: Network, name: string, ipv4: string | undefined): Verdict | undefined {
  if (!network.Attachable) {
    return answer(
      403,
      `Could not attach to network ${name}: rpc error: code = PermissionDenied desc = network ${name} not manually attachable`
    )
  }
  const subnets = (network.IPAM.Config ?? []).flatMap(({ Subnet }) => parseSubnet(Subnet ?? "") ?? [])
  if (network.Vni === undefined || subnets.length === 0) {
    return answer(503, `Could not attach to network ${name}: its addresses are not allotted yet; try again`)
  }
  const ranges = subnets.flatMap((subnet) => manualRange(subnet) ?? [])
  if (ranges.length === 0) {
    return answer(
      400,
      `Could not attach to network ${name}: its subnet ${showSubnet(subnets[0] as (typeof subnets)[0])} is too small for containers beside tasks`
    )
  }
  const address = ipv4 === undefined ? undefined : parseAddress(ipv4)
  if (address !== undefined && !ranges.some((range) => holds(range, address))) {
    return answer(
      400,
      `invalid address ${ipv4}: containers attached to network ${name} by hand have addresses in ${ranges.map(showSubnet).join(" or ")}; the others belong to tasks`
    )
  }
  return undefined
}

/** What is not JSON goes to the Engine as it is, which says so. */
function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"))
  } catch {
    return undefined
  }
}
