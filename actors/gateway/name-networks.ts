/**
 * The networks that a request to the Engine names, found and replaced: containers as they are created, connected
 * and disconnected. Pure; `intercept.ts` asks and answers.
 */

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
  return typeof ipv4 === "string" && ipv4 !== "" ? { name, ipv4 } : { name }
}

/** The body of `POST /containers/create` with `names` replaced wherever a network is named. */
export function renameInCreate(body: unknown, names: ReadonlyMap<string, string>): unknown {
  if (!isObject(body)) return body
  const host = inside(body, "HostConfig")
  const networking = inside(body, "NetworkingConfig")
  const endpoints = inside(networking, "EndpointsConfig")
  const mode = typeof host.NetworkMode === "string" ? names.get(host.NetworkMode) : undefined
  return {
    ...body,
    ...(mode === undefined ? {} : { HostConfig: { ...host, NetworkMode: mode } }),
    ...(Object.keys(endpoints).length === 0
      ? {}
      : {
          NetworkingConfig: {
            ...networking,
            EndpointsConfig: Object.fromEntries(
              Object.entries(endpoints).map(([name, endpoint]) => [names.get(name) ?? name, endpoint])
            )
          }
        })
  }
}
