/**
 * The networks that a request to the Engine names, found and replaced: containers as they are created, connected
 * and disconnected. Pure; `intercept.ts` asks and answers.
 */

import { macOf } from "#actors/network/table.ts"

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const inside = (value: unknown, key: string): Json => {
  const found = isObject(value) ? value[key] : undefined
  return isObject(found) ? found : {}
}

/** Modes of `HostConfig.NetworkMode` that are no network's name. */
const isMode = (text: string): boolean =>
  ["", "default", "bridge", "host", "none"].includes(text) || text.startsWith("container:")

export interface NamedNetwork {
  readonly name: string
  /** The address that was asked for, if one was. */
  readonly ipv4?: string
  readonly aliases?: ReadonlyArray<string>
}

/** Every network that the body of `POST /containers/create` attaches the container to. */
export function namedInCreate(body: unknown): ReadonlyArray<NamedNetwork> {
  const endpoints = inside(inside(body, "NetworkingConfig"), "EndpointsConfig")
  const mode = inside(body, "HostConfig").NetworkMode
  const named = Object.entries(endpoints).map(([name, endpoint]) => withAddress(name, endpoint))
  if (typeof mode === "string" && !isMode(mode) && !named.some(({ name }) => name === mode)) {
    named.push({ name: mode })
  }
  return named
}

/** The address in the body of `POST /networks/{id}/connect`. */
export const namedInConnect = (name: string, body: unknown): NamedNetwork =>
  withAddress(name, inside(body, "EndpointConfig"))

function withAddress(name: string, endpoint: unknown): NamedNetwork {
  const ipv4 = inside(endpoint, "IPAMConfig").IPv4Address
  const asked = isObject(endpoint) && Array.isArray(endpoint.Aliases) ? endpoint.Aliases : []
  const aliases = asked.filter((alias) => typeof alias === "string")
  return {
    name,
    ...(typeof ipv4 === "string" && ipv4 !== "" ? { ipv4 } : {}),
    ...(aliases.length > 0 ? { aliases } : {})
  }
}

/** What a container gets in a network's place: the Engine's name for it, and its addresses there, if they are known. */
export interface GivenPlace {
  readonly bridge: string
  readonly addresses?: ReadonlyArray<string>
}

/** An endpoint's settings with the addresses that it was given. */
function withPlace(endpoint: unknown, { addresses }: GivenPlace): unknown {
  if (addresses === undefined) return endpoint
  const given = inside(endpoint, "IPAMConfig")
  const ipv4 = addresses.find((one) => !one.includes(":"))
  const ipv6 = addresses.find((one) => one.includes(":"))
  return {
    ...(isObject(endpoint) ? endpoint : {}),
    IPAMConfig: { ...given, ...(ipv4 && { IPv4Address: ipv4 }), ...(ipv6 && { IPv6Address: ipv6 }) },
    ...(ipv4 && { MacAddress: macOf(ipv4) })
  }
}

/** The body of `POST /containers/create` with a place wherever one of `places` is named. */
export function placeInCreate(body: unknown, places: ReadonlyMap<string, GivenPlace>): unknown {
  if (!isObject(body)) return body
  const host = inside(body, "HostConfig")
  const networking = inside(body, "NetworkingConfig")
  const endpoints = new Map(Object.entries(inside(networking, "EndpointsConfig")))
  const mode = typeof host.NetworkMode === "string" ? host.NetworkMode : ""
  const main = places.get(mode)
  // Without an entry of its own it would get any address.
  if (main?.addresses !== undefined && !endpoints.has(mode)) endpoints.set(mode, {})
  const placed = [...endpoints].map(([name, endpoint]): [string, unknown] => {
    const place = places.get(name)
    return place === undefined ? [name, endpoint] : [place.bridge, withPlace(endpoint, place)]
  })
  return {
    ...body,
    ...(main === undefined ? {} : { HostConfig: { ...host, NetworkMode: main.bridge } }),
    ...(placed.length === 0
      ? {}
      : { NetworkingConfig: { ...networking, EndpointsConfig: Object.fromEntries(placed) } })
  }
}

/** The body of `POST /networks/{id}/connect` with the addresses that were given. */
export const placeInConnect = (body: unknown, place: GivenPlace): unknown =>
  place.addresses === undefined || !isObject(body)
    ? body
    : { ...body, EndpointConfig: withPlace(body.EndpointConfig, place) }
