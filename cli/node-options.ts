/**
 * The flags of `node`, each also `TROUPE_<NAME>`, and what they come to. A bad value is an error that names the
 * flag, the value and what is expected; nothing is started before all of them are right.
 */
import { hostname } from "node:os"
import { resolve } from "node:path"
import process from "node:process"
import { Config, Effect, Option, Schema } from "effect"
import { Flag } from "effect/cli"
import { parseJoinToken } from "#actors/authority/join-token.ts"
import { roles } from "#actors/authority/protocol.ts"
import { parseEngineAddress } from "#actors/drivers/engine/address.ts"
import { isLoopback, parseHostPort } from "#actors/gateway/parse-host-port.ts"
import { usualSubnetSize } from "#actors/manager/found.ts"
import { parseAddress, parseSubnet } from "#actors/network/ip.ts"
import { runDirOf, usualCsiPluginsOf, usualDataDir, usualSocketOf } from "#cli/places.ts"

export class BadOption extends Schema.TaggedError<BadOption>()("BadOption", {
  flag: Schema.String,
  value: Schema.String,
  message: Schema.String
}) {
  static of(flag: string, value: string, expected: string): BadOption {
    return new BadOption({ flag, value, message: `--${flag} '${value}': expected ${expected}` })
  }
}

export interface NodeOptions {
  /** What a machine without a cluster begins as; absent: it waits for `docker swarm init` or `join`. A member has the role that its cluster gives it. */
  readonly role: "manager" | "worker" | undefined
  readonly name: string
  readonly dataDir: string
  /** For sockets and memory-backed files of this data directory; empty after a reboot. */
  readonly runDir: string
  readonly dockerHost: string
  readonly executor: "docker" | "process"
  readonly socket: string
  /** `host:port`. */
  readonly http: string
  /** Where requests are led to services by host and path; empty for nowhere. */
  readonly entrancePorts: ReadonlyArray<number>
  /** Where they are by TLS. */
  readonly entranceTlsPorts: ReadonlyArray<number>
  readonly listenAddr: string
  /** Where it listens, or what it advertises, was said by a flag. */
  readonly isPlaced: boolean
  /** Where a manager listens; 0 for any free port, kept from then on. */
  readonly joinPort: number
  readonly natsPort: number
  readonly routePort: number
  readonly advertiseAddr: string
  /** Where VXLAN packets come in and go out; undefined: at `advertiseAddr`. */
  readonly dataPathAddr: string | undefined
  /** Subnets that a new cluster's networks are cut from. */
  readonly addrPool: ReadonlyArray<string>
  readonly availability: "active" | "pause" | "drain"
  /** The manager to join, `host:port`, and the token to join with; absent: found a cluster, or go on with the one in the data directory. */
  readonly join: { readonly address: string; readonly token: string } | undefined
  /** Begin the cluster anew with this manager alone, once, from what its log has. */
  readonly forceNewCluster: boolean
  /** Use this NATS instead of supervising one. */
  readonly nats: string | undefined
  readonly natsCreds: string | undefined
  /** How long the daemon's thread may be stuck before it ends itself with code 70; undefined: for ever. */
  readonly stuckMs: number | undefined
  /** What the flight recorder may take in memory; 0 for none. */
  readonly recorderBytes: number
  /** Where CSI plugins that are no plugins of the Engine have their sockets. */
  readonly csiPlugins: string
  /** How much of its tasks' output the node keeps; undefined for none of it. */
  readonly logMemory: LogMemoryOptions | undefined
  /** Where metrics and spans are sent by OTLP over HTTP, without a slash at the end. */
  readonly otlpEndpoint: string | undefined
  /** What copies of other nodes' logs may take on disk; 0 for none. */
  readonly logCopiesBytes: number
}

export interface LogMemoryOptions {
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** Kept of each task; `Infinity` for all. */
  readonly linesPerSecond: number
}

const environmentName = (flag: string): string => `TROUPE_${flag.toUpperCase().replaceAll("-", "_")}`

/** A flag that may also come from the environment, and may be absent. */
const text = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withDescription(`${description} [${environmentName(name)}]`),
    Flag.withFallbackConfig(Config.String(environmentName(name))),
    Flag.optional
  )

export const nodeFlags = {
  role: text(
    "role",
    "manager, or worker: what it joins as is what --token says; a member keeps its role; without it, the node waits for docker swarm init or join"
  ),
  name: text("name", "the node's name; default: the host's"),
  dataDir: text(
    "data-dir",
    "log, snapshots, identity; default /var/lib/troupe as root, else ~/.local/share/troupe"
  ),
  dockerHost: text("docker-host", "the Engine this node drives; default DOCKER_HOST, else the usual socket"),
  executor: text("executor", "docker, or process: tasks as child processes of this host; default docker"),
  socket: text("socket", "unix socket with the Docker-compatible API; default /run/troupe/docker.sock"),
  http: text("http", "address of the same API over TCP, with a token; default 127.0.0.1:4500"),
  httpEntrance: text(
    "http-entrance",
    "ports (comma-separated) of the HTTP entrance, which leads requests to services by host and path, such as 80; default none; needs haproxy"
  ),
  httpEntranceTls: text(
    "http-entrance-tls",
    "its ports for TLS, such as 443, with the certificates of services that have the label troupe.http.tls; default none"
  ),
  listenAddr: text("listen-addr", "where a manager listens for nodes; default 127.0.0.1"),
  joinPort: text("join-port", "where nodes ask to join; 0 for any; default 2377"),
  natsPort: text("nats-port", "nats-server's client port; 0 for any; default 4222"),
  routePort: text("route-port", "nats-server's port for other nats-servers; 0 for any; default 6222"),
  advertiseAddr: text("advertise-addr", "the address other nodes are told; default: of the first interface"),
  dataPathAddr: text("data-path-addr", "the address for traffic of overlays; default: --advertise-addr"),
  availability: text("availability", "active, pause or drain; default active"),
  defaultAddrPool: text(
    "default-addr-pool",
    "subnets (comma-separated) that a new cluster's networks are cut from; default 10.0.0.0/8"
  ),
  nats: text("nats", "use this NATS (URL list) instead of supervising nats-server"),
  natsCreds: text("nats-creds", "credentials file for --nats"),
  stuckAfter: text(
    "stuck-after",
    "seconds without progress after which the node ends itself with code 70, or off; default 5"
  ),
  recorder: text(
    "recorder",
    "megabytes of memory for the flight recorder, which keeps what actors decided, or off; default 16"
  ),
  csiPlugins: text(
    "csi-plugins",
    "folder with the sockets (NAME.sock) of plugins for cluster volumes; default /run/troupe/csi as root"
  ),
  logMemory: text("log-memory", "megabytes on disk for the output of this node's tasks, or off; default 256"),
  logCopies: text("log-copies", "megabytes on disk for copies of other nodes' logs, or off; default 128"),
  otlpEndpoint: text(
    "otlp-endpoint",
    "collector of metrics and traces, such as http://127.0.0.1:4318; default OTEL_EXPORTER_OTLP_ENDPOINT, else none"
  ),
  logAge: text("log-age", "how long that output is kept: 12h, 7d; default 7d"),
  logRate: text(
    "log-rate",
    "lines per second that are kept of one task, over ten seconds, or off for all; default 10000"
  ),
  forceNewCluster: Flag.Boolean("force-new-cluster").pipe(
    Flag.withDescription(
      "go on with this manager alone, from what its log has; only when the majority is lost for good"
    ),
    Flag.withDefault(false)
  ),
  join: text("join", "a manager to join, host:port"),
  token: text("token", "the join token, as docker swarm join-token prints it")
} as const

type TextFlag = Exclude<keyof typeof nodeFlags, "forceNewCluster">
export type RawNodeOptions = { readonly [Key in TextFlag]: Option.Option<string> } & {
  readonly forceNewCluster: boolean
}

function oneOf<const Choice extends string>(
  flag: string,
  value: string,
  choices: ReadonlyArray<Choice>
): Effect.Effect<Choice, BadOption> {
  const found = choices.find((choice) => choice === value)
  return found === undefined
    ? Effect.fail(BadOption.of(flag, value, `one of ${choices.join(", ")}`))
    : Effect.succeed(found)
}

function portOf(flag: string, value: string): Effect.Effect<number, BadOption> {
  const port = Number(value)
  return /^\d{1,5}$/.test(value) && port <= 65_535
    ? Effect.succeed(port)
    : Effect.fail(BadOption.of(flag, value, "a port from 0 to 65535"))
}

const entrancePortsOf = Effect.fnUntraced(function* (
  flag: string,
  value: string,
  executor: NodeOptions["executor"]
): Effect.fn.Return<ReadonlyArray<number>, BadOption> {
  if (value === "") return []
  const ports = value.split(",").map((port) => port.trim())
  if (!ports.every((port) => /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
    return yield* BadOption.of(flag, value, "ports from 1 to 65535, separated by commas, such as 80")
  if (executor === "process")
    return yield* BadOption.of(
      flag,
      value,
      "--executor docker beside it: tasks that are processes are on no network"
    )
  return [...new Set(ports.map(Number))]
})

function stuckMsOf(flag: string, value: string): Effect.Effect<number | undefined, BadOption> {
  if (value === "off") return Effect.succeed(undefined)
  const seconds = Number(value)
  return seconds >= 1 && seconds <= 3_600
    ? Effect.succeed(seconds * 1_000)
    : Effect.fail(BadOption.of(flag, value, "seconds from 1 to 3600, or off"))
}

const megabyte = 1_024 * 1_024

function recorderBytesOf(flag: string, value: string): Effect.Effect<number, BadOption> {
  if (value === "off") return Effect.succeed(0)
  return /^\d{1,4}$/.test(value) && Number(value) >= 1
    ? Effect.succeed(Number(value) * megabyte)
    : Effect.fail(BadOption.of(flag, value, "megabytes from 1 to 9999, or off"))
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const logMemoryOf = Effect.fnUntraced(function* (
  size: string,
  age: string,
  rate: string
): Effect.fn.Return<LogMemoryOptions | undefined, BadOption> {
  const megabytes = Number(size)
  if (size !== "off" && !(/^\d{1,6}$/.test(size) && megabytes >= 1)) {
    return yield* BadOption.of("log-memory", size, "megabytes from 1 to 999999, or off")
  }
  const [, count, unit] = /^(\d{1,5})([smhd])$/.exec(age) ?? []
  if (unit === undefined || Number(count) === 0) {
    return yield* BadOption.of("log-age", age, "a number and s, m, h or d, such as 12h or 7d")
  }
  if (rate !== "off" && !(/^\d{1,7}$/.test(rate) && Number(rate) >= 1)) {
    return yield* BadOption.of("log-rate", rate, "lines per second from 1 to 9999999, or off")
  }
  if (size === "off") return undefined
  return {
    maxBytes: megabytes * megabyte,
    maxAgeMs: Number(count) * unitMs[unit as keyof typeof unitMs],
    linesPerSecond: rate === "off" ? Number.POSITIVE_INFINITY : Number(rate)
  }
})

function otlpEndpointOf(text: string): Effect.Effect<string | undefined, BadOption> {
  if (text === "") return Effect.succeed(undefined)
  return URL.canParse(text) && /^https?:/.test(text)
    ? Effect.succeed(text.replace(/\/+$/, ""))
    : Effect.fail(BadOption.of("otlp-endpoint", text, "a URL, such as http://127.0.0.1:4318"))
}

function logCopiesOf(size: string): Effect.Effect<number, BadOption> {
  if (size === "off") return Effect.succeed(0)
  return /^\d{1,6}$/.test(size) && Number(size) >= 1
    ? Effect.succeed(Number(size) * megabyte)
    : Effect.fail(BadOption.of("log-copies", size, "megabytes from 1 to 999999, or off"))
}

/** Both or none. */
const joinOf = Effect.fnUntraced(function* (
  address: string | undefined,
  token: string | undefined
): Effect.fn.Return<NodeOptions["join"], BadOption> {
  if (address === undefined && token === undefined) return undefined
  if (address === undefined) return yield* BadOption.of("join", "", "host:port of a manager, beside --token")
  if (parseHostPort(address) === undefined) {
    return yield* BadOption.of("join", address, "host:port, such as 10.0.0.1:2377")
  }
  if (token === undefined || parseJoinToken(token) === undefined) {
    // A token that is almost right is a secret.
    return yield* BadOption.of(
      "token",
      token === undefined ? "" : "…",
      "SWMTKN-1-…, as docker swarm join-token prints it"
    )
  }
  return { address, token }
})

/** What the flags come to on this machine. */
export const resolveNodeOptions = Effect.fnUntraced(function* (
  raw: RawNodeOptions,
  firstAddress: string
): Effect.fn.Return<NodeOptions, BadOption> {
  const given = (key: TextFlag): string | undefined => Option.getOrUndefined(raw[key])
  const role = given("role") === undefined ? undefined : yield* oneOf("role", given("role") ?? "", roles)
  const name = given("name") ?? hostname()
  if (name === "") return yield* BadOption.of("name", name, "a name")

  const executor = yield* oneOf("executor", given("executor") ?? "docker", ["docker", "process"])

  const dataDir = resolve(given("dataDir") ?? usualDataDir)

  const http = given("http") ?? "127.0.0.1:4500"
  const httpAddress = parseHostPort(http)
  if (httpAddress === undefined) {
    return yield* BadOption.of("http", http, "host:port, such as 127.0.0.1:4500")
  }
  if (!isLoopback(httpAddress.host)) {
    return yield* BadOption.of(
      "http",
      http,
      "a loopback address, such as 127.0.0.1:4500: beyond it the token would travel in the clear"
    )
  }
  const listenAddr = given("listenAddr") ?? "127.0.0.1"
  if (parseAddress(listenAddr) === undefined) {
    return yield* BadOption.of("listen-addr", listenAddr, "an IPv4 or IPv6 address")
  }
  const advertiseAddr = given("advertiseAddr") ?? firstAddress
  if (parseAddress(advertiseAddr) === undefined) {
    return yield* BadOption.of("advertise-addr", advertiseAddr, "an IPv4 or IPv6 address")
  }
  const dataPathAddr = given("dataPathAddr")
  if (dataPathAddr !== undefined && parseAddress(dataPathAddr) === undefined) {
    return yield* BadOption.of("data-path-addr", dataPathAddr, "an IPv4 or IPv6 address")
  }
  const dockerHost = given("dockerHost") ?? process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock"
  if (parseEngineAddress(dockerHost) instanceof Error) {
    return yield* BadOption.of("docker-host", dockerHost, "unix:///path or tcp://host:port")
  }
  const socket = resolve(given("socket") ?? usualSocketOf(dataDir))
  // In a shell that speaks to the node by DOCKER_HOST it would pass every request on to itself.
  if (dockerHost.startsWith("unix://") && resolve(dockerHost.slice("unix://".length)) === socket) {
    return yield* BadOption.of(
      "docker-host",
      dockerHost,
      "the Engine's socket, this is the node's own (without the flag DOCKER_HOST says where the Engine is)"
    )
  }
  const addrPool = (given("defaultAddrPool") ?? "10.0.0.0/8").split(",").map((pool) => pool.trim())
  for (const pool of addrPool) {
    const subnet = parseSubnet(pool)
    if (subnet?.family !== 4 || subnet.prefix > usualSubnetSize) {
      return yield* BadOption.of(
        "default-addr-pool",
        pool,
        `an IPv4 subnet of at least a /${usualSubnetSize}`
      )
    }
  }
  const entrancePorts = yield* entrancePortsOf("http-entrance", given("httpEntrance") ?? "", executor)
  const tls = given("httpEntranceTls") ?? ""
  const entranceTlsPorts = yield* entrancePortsOf("http-entrance-tls", tls, executor)
  if (entranceTlsPorts.some((port) => entrancePorts.includes(port)))
    return yield* BadOption.of("http-entrance-tls", tls, "other ports than --http-entrance has")
  return {
    role,
    join: yield* joinOf(given("join"), given("token")),
    addrPool,
    name,
    dataDir,
    runDir: runDirOf(dataDir),
    dockerHost,
    executor,
    socket,
    http,
    entrancePorts,
    entranceTlsPorts,
    listenAddr,
    isPlaced: given("listenAddr") !== undefined || given("advertiseAddr") !== undefined,
    joinPort: yield* portOf("join-port", given("joinPort") ?? "2377"),
    natsPort: yield* portOf("nats-port", given("natsPort") ?? "4222"),
    routePort: yield* portOf("route-port", given("routePort") ?? "6222"),
    advertiseAddr,
    dataPathAddr,
    availability: yield* oneOf("availability", given("availability") ?? "active", [
      "active",
      "pause",
      "drain"
    ]),
    forceNewCluster: raw.forceNewCluster,
    nats: given("nats"),
    natsCreds: given("natsCreds"),
    stuckMs: yield* stuckMsOf("stuck-after", given("stuckAfter") ?? "5"),
    recorderBytes: yield* recorderBytesOf("recorder", given("recorder") ?? "16"),
    csiPlugins: resolve(given("csiPlugins") ?? usualCsiPluginsOf(dataDir)),
    otlpEndpoint: yield* otlpEndpointOf(
      given("otlpEndpoint") ?? process.env.OTEL_EXPORTER_OTLP_ENDPOINT ?? ""
    ),
    logCopiesBytes: yield* logCopiesOf(given("logCopies") ?? "128"),
    logMemory: yield* logMemoryOf(
      given("logMemory") ?? "256",
      given("logAge") ?? "7d",
      given("logRate") ?? "10000"
    )
  }
})
