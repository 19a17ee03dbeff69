/** What `docker swarm init` and `docker swarm join` ask of a node without a cluster, and where it is then reached. */
import { parseHostPort } from "#actors/gateway/parse-host-port.ts"
import { checkSwarm } from "#actors/gateway/validate/check-swarm.ts"
import { usualDataPathPort, usualSubnetSize } from "#actors/manager/found.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { SwarmInitRequest, SwarmJoinRequest } from "#actors/model/spec.ts"
import { parseAddress, parseSubnet } from "#actors/network/ip.ts"

/** Addresses are without brackets; `joinPort` is 0 for any. */
export interface Place {
  readonly listenAddr: string
  readonly joinPort: number
  readonly advertiseAddr: string
  /** Absent: `advertiseAddr`. */
  readonly dataPathAddr?: string
}

/** What the machine has: the first IPv4 address of each interface by its name, and the one it is usually reached by. */
export interface Machine {
  readonly interfaces: ReadonlyMap<string, string>
  readonly usualAddr: string
  readonly usualJoinPort: number
}

// moby/moby daemon/cluster/listen_addr.go: the Engine's words.
const badListen = "listen address must be an IP address or network interface (with optional port number)"
const badAdvertise =
  "advertise address must be a non-zero IP address or network interface (with optional port number)"

const badDataPath =
  "data path address must be a non-zero IP address or network interface (without a port number)"

/** Where the node is to listen, and what it is to tell others. */
export function placeOf(
  {
    ListenAddr = "",
    AdvertiseAddr = "",
    DataPathAddr = ""
  }: Pick<SwarmInitRequest, "ListenAddr" | "AdvertiseAddr" | "DataPathAddr">,
  machine: Machine
): Place | Refusal {
  const listen = resolve(ListenAddr === "" ? "0.0.0.0" : ListenAddr, machine)
  if (listen === undefined) return refuse("invalidArgument", `${badListen}, got ${ListenAddr}`)
  const usual = isUnspecified(listen.host) ? machine.usualAddr : listen.host
  const advertised = resolve(AdvertiseAddr === "" ? usual : AdvertiseAddr, machine)
  if (advertised === undefined || isUnspecified(advertised.host))
    return refuse("invalidArgument", `${badAdvertise}, got ${AdvertiseAddr}`)
  const dataPath = DataPathAddr === "" ? undefined : resolve(DataPathAddr, machine)
  if (DataPathAddr !== "" && (dataPath?.port !== undefined || isUnspecified(dataPath?.host ?? "::")))
    return refuse("invalidArgument", `${badDataPath}, got ${DataPathAddr}`)
  return {
    listenAddr: listen.host,
    joinPort: listen.port ?? machine.usualJoinPort,
    advertiseAddr: advertised.host,
    ...(dataPath === undefined ? {} : { dataPathAddr: dataPath.host })
  }
}

/** A manager's address as people give it: where there is no port, the usual one. */
export const managerAt = (text: string): string =>
  parseHostPort(text) === undefined ? `${text.replace(/:$/, "")}:2377` : text

const isUnspecified = (host: string): boolean => host === "0.0.0.0" || host === "::"

/** `ADDRESS`, `INTERFACE`, and either with a port. */
function resolve(
  text: string,
  { interfaces }: Machine
): { readonly host: string; readonly port?: number } | undefined {
  const bare = text.replace(/^\[|\]$/g, "")
  const found = (name: string): string | undefined =>
    parseAddress(name) === undefined ? interfaces.get(name) : name
  const whole = found(bare)
  if (whole !== undefined) return { host: whole }
  const split = parseHostPort(text)
  const host = split && found(split.host)
  return host === undefined ? undefined : { host, port: split?.port ?? 0 }
}

const availabilities = ["", "active", "pause", "drain"]

const checkAvailability = (asked: string | undefined): Refusal | undefined =>
  availabilities.includes(asked ?? "")
    ? undefined
    : refuse("invalidArgument", `invalid Availability: "${asked}"`)

/** Why no cluster can begin like that. */
export function checkInit(asked: SwarmInitRequest): Refusal | undefined {
  const spec = { ...asked.Spec }
  if (asked.AutoLockManagers === true) spec.EncryptionConfig = { AutoLockManagers: true }
  const refused = checkAvailability(asked.Availability) ?? checkSwarm(spec)
  if (refused !== undefined) return refused
  const size = asked.SubnetSize || usualSubnetSize
  for (const pool of asked.DefaultAddrPool ?? []) {
    const subnet = parseSubnet(pool)
    if (subnet?.family !== 4)
      return refuse("invalidArgument", `DefaultAddrPool ${pool}: expected an IPv4 subnet, such as 10.0.0.0/8`)
    if (size < subnet.prefix || size > 29)
      return refuse(
        "invalidArgument",
        `SubnetSize ${size}: expected at least the /${subnet.prefix} of pool ${pool}, and at most 29`
      )
  }
  const port = asked.DataPathPort || usualDataPathPort
  return port < 1024 || port > 49_151
    ? refuse("invalidArgument", `Datapath port number (${port}) is not in valid range (1024-49151)`)
    : undefined
}

/** Why no cluster can be joined like that. */
export const checkJoin = (asked: SwarmJoinRequest): Refusal | undefined =>
  (asked.RemoteAddrs ?? []).length === 0
    ? refuse("invalidArgument", "at least 1 RemoteAddr is required to join")
    : checkAvailability(asked.Availability)
