/**
 * What nats-server is told: where it listens, how much it takes, and who may say and hear what.
 *
 * Rights are allow-lists only, and nothing that its older releases get wrong is switched on: no websocket,
 * no leafnodes, no no_auth_user, no authorization block beside accounts, no JetStream, no monitoring port.
 */
import type { Rights } from "#actors/nats/rights.ts"

/** A client by its public nkey; its seed never leaves its owner. */
export interface NatsUser {
  readonly publicKey: string
  readonly rights: Rights
}

/** Absolute paths of PEM files. Both sides show a certificate of this authority. */
export interface NatsTls {
  readonly certFile: string
  readonly keyFile: string
  readonly caFile: string
}

/** How the servers of a cluster join: each to each, by routes. */
export interface NatsCluster {
  /** The same on all of them; a server of another name is refused. */
  readonly name: string
  /** Where the others reach this one; port 0 lets the server choose. */
  readonly host: string
  readonly port: number
  /** What servers prove to each other. */
  readonly user: string
  readonly password: string
  /** `host:port` of all of them; its own among them does no harm. May change while the server runs. */
  readonly routes: ReadonlyArray<string>
  readonly tls?: NatsTls
}

export interface NatsSettings {
  readonly serverName: string
  readonly host: string
  /** 0 lets the server choose. */
  readonly port: number
  readonly cluster?: NatsCluster
  /** For clients. */
  readonly tls?: NatsTls
  /** Absolute paths. */
  readonly portsDirectory: string
  readonly logFile: string
}

/** Largest body of one message, in bytes. */
const maxPayloadBytes = 1024 * 1024

/** The part of the configuration that a running server cannot change; everything else it takes by SIGHUP. */
export function configureServer(settings: NatsSettings): string {
  return [
    "# Written by troupe at every start and whenever a client is added or removed; edits are lost.",
    `server_name: ${quote(settings.serverName)}`,
    `host: ${quote(settings.host)}`,
    `port: ${portOf(settings.port)}`,
    `ports_file_dir: ${quote(settings.portsDirectory)}`,
    `log_file: ${quote(settings.logFile)}`,
    "logfile_size_limit: 8388608",
    `max_payload: ${maxPayloadBytes}`,
    // A client that does not read for 2 s is cut rather than waited for.
    'write_deadline: "2s"',
    // A frozen client is found out after 2 × 2 s.
    'ping_interval: "2s"',
    "ping_max: 2",
    // Told to go, it tells its clients first and leaves them this long; the shortest duration there is.
    'lame_duck_grace_period: "10s"',
    'lame_duck_duration: "30s"',
    ...(settings.tls ? [configureTls(settings.tls)] : []),
    ...(settings.cluster ? [configureCluster(settings.cluster)] : []),
    ""
  ].join("\n")
}

function configureCluster(cluster: NatsCluster): string {
  const { name, host, port, user, password, routes, tls } = cluster
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`
  return [
    "cluster {",
    `  name: ${quote(name)}`,
    `  listen: ${quote(`${host}:${portOf(port)}`)}`,
    // Clients know all servers from us; addresses that servers learn from each other may lead nowhere.
    "  no_advertise: true",
    `  authorization { user: ${quote(user)}, password: ${quote(password)}, timeout: 2 }`,
    `  routes: ${listOf(routes.map((route) => `nats-route://${login}${route}`))}`,
    ...(tls ? [`  ${configureTls(tls)}`] : []),
    "}"
  ].join("\n")
}

const configureTls = ({ certFile, keyFile, caFile }: NatsTls): string =>
  `tls { cert_file: ${quote(certFile)}, key_file: ${quote(keyFile)}, ca_file: ${quote(caFile)}, verify: true, timeout: 2 }`

const portOf = (port: number): number => (port === 0 ? -1 : port)

/**
 * Everyone is in one account; the other one hears what happens to connections. Both are named, so that whoever is in
 * neither is nobody: the server's own default account stays empty.
 */
export const configureUsers = (users: ReadonlyArray<NatsUser>): string =>
  [
    "accounts {",
    `  TROUPE { users: [ ${users
      .filter(({ rights }) => !rights.system)
      .map(configureUser)
      .join(",")} ] }`,
    `  SYSTEM { users: [ ${users
      .filter(({ rights }) => rights.system)
      .map(configureUser)
      .join(",")} ] }`,
    "}",
    "system_account: SYSTEM",
    ""
  ].join("\n")

const configureUser = ({ publicKey, rights }: NatsUser): string =>
  `\n    { nkey: ${quote(publicKey)}, permissions: { publish: ${listOf(rights.publish)}, subscribe: ${listOf(rights.subscribe)}${rights.answers ? `, ${answers}` : ""} } }`

/** As many parts as the longest answer has, for as long as the most patient asker waits. */
const answers = 'allow_responses: { max: 4096, expires: "5m" }'

const listOf = (subjects: ReadonlyArray<string>): string => `[${subjects.map(quote).join(", ")}]`

/** The server's strings know JSON's escapes for quotes, backslashes and line ends. */
const quote = (text: string): string => JSON.stringify(text)

/** The oldest release without an advisory that we know of. */
const soundVersion = "2.11.16"

/** Why this nats-server should be replaced, or `undefined` when it is new enough. */
export function warnOfVersion(version: string): string | undefined {
  if (!isOlder(version, soundVersion)) return undefined
  return (
    `nats-server ${version} is older than ${soundVersion}: published security advisories ` +
    "(among them CVE-2026-33218, CVE-2026-27889, CVE-2025-30215, CVE-2023-47090) are open in it. " +
    "The features they concern are off in the configuration troupe writes; install a newer nats-server when you can"
  )
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [numbersOf(version), numbersOf(than)]
  for (let i = 0; i < 3; i++) {
    const [left, right] = [a[i] ?? 0, b[i] ?? 0]
    if (left !== right) return left < right
  }
  return false
}

const numbersOf = (version: string): ReadonlyArray<number> =>
  (version.split(/[-+]/)[0] ?? "").split(".").map((part) => Number.parseInt(part, 10) || 0)

const firstDelayMs = 50
const longestDelayMs = 2_000

/** How long to wait before start `attempt` (from 1) in a row, in milliseconds: 50 ms, doubling up to 2 s. */
export const delayBefore = (attempt: number): number =>
  Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(attempt - 1, 16))
