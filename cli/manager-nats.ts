/** A manager's NATS: its own nats-server, or the one that was named, and the connections that its parts speak over. */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Schedule, type Scope } from "effect"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { serverOf, type WorkerPeer } from "#actors/authority/peers.ts"
import type { Peer } from "#actors/authority/protocol.ts"
import type { Held } from "#actors/authority/store.ts"
import { privateDirectory, writePrivate } from "#actors/drivers/machine/files.ts"
import { natsPaths } from "#actors/drivers/nats-server/paths.ts"
import { isLoopback } from "#actors/gateway/parse-host-port.ts"
import type { NatsKeys } from "#actors/model/trust.ts"
import type { NatsCluster, NatsTls } from "#actors/nats/configure.ts"
import type { NatsCredentials } from "#actors/nats/creds.ts"
import { type NatsServerService, startNatsServer } from "#actors/nats/server.ts"
import { bracketed } from "#actors/network/ip.ts"
import { bulkConnectionName, connectionName } from "#actors/raft/wire/departures.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { type NatsTransportService, natsTransport } from "#runtime/transport/nats.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface ManagerNats {
  /** For whoever else on this machine wants to connect. */
  readonly url: string
  /** Whether it asks for certificates. */
  readonly tls: boolean
  readonly transport: NatsTransportService
  /** Serves other systems: it answers where they tell it to, so it has rights of its own. */
  readonly api: NatsTransportService
  /** Consensus, and its snapshots on a connection of their own. */
  readonly raft: { readonly main: NatsTransportService; readonly bulk: NatsTransportService }
  /** Hears of connections that end; not where somebody else's NATS is used. */
  readonly system: NatsTransportService | undefined
  readonly server: NatsServerService | undefined
  /** New connections in place of all of these. */
  readonly renew: () => void
  /** These are the managers and the other nodes from now on. */
  readonly setPeers: (peers: ReadonlyArray<Peer>, workers: ReadonlyArray<WorkerPeer>) => Effect.Effect<void>
}

/** What nats-servers call themselves to each other, beside the password. */
const routeUser = "route"

/**
 * What nats-server 2.9 remembers of a subject that nobody heard can outlive a change of its accounts, until any
 * subscription changes. When a server has carried the change out nobody knows, a busy machine may take seconds; so a
 * subscription changes ever again, or a member could hear the others for ever and not be heard.
 */
const stirEvery = "500 millis"

export const connectNats = (
  options: NodeOptions,
  credentials: CredentialsService
): Effect.Effect<ManagerNats, Error, Scope.Scope> =>
  options.nats === undefined
    ? overOwnServer(options, credentials)
    : overForeignServer(options, credentials.held(), options.nats)

const overOwnServer = Effect.fnUntraced(function* (
  options: NodeOptions,
  credentials: CredentialsService
): Effect.fn.Return<ManagerNats, Error, Scope.Scope> {
  const held = credentials.held()
  const { membership, ports } = held
  const { nodeId, clusterId, managers } = membership
  const raftId = raftIdOf(held)
  const tls = isLoopback(options.listenAddr) ? undefined : writeTls(options.dataDir, held)
  const others = managers.filter((peer) => peer.nodeId !== nodeId)
  const cluster: NatsCluster = {
    name: clusterId,
    host: options.listenAddr,
    port: ports.route,
    user: routeUser,
    password: membership.routePassword ?? "",
    routes: others.map(routeOf),
    ...(tls && { tls })
  }
  const server = yield* startNatsServer({
    dataDir: options.dataDir,
    nodeId,
    raftId,
    clusterId,
    members: others,
    host: options.listenAddr,
    port: ports.nats,
    ...(tls && { tls }),
    cluster
  })
  // Its own server is the nearest, and at an address that every certificate names.
  const own = `nats://${hostOf(options.listenAddr)}:${ports.nats}`
  const serversOf = (peers: ReadonlyArray<Peer>): ReadonlyArray<string> => [
    own,
    ...peers.filter((peer) => peer.nodeId !== nodeId).map(serverOf)
  ]
  const client = tls && { tls: tlsOf(held) }
  const open = (
    which: keyof NatsKeys,
    name: string
  ): Effect.Effect<NatsTransportService, Error, Scope.Scope> =>
    natsTransport({
      servers: serversOf(others),
      nodeId,
      ...accessOf(server.credentials[which]),
      ...client,
      inOrder: true,
      name
    })
  const transport = yield* open("daemon", `troupe ${nodeId}`)
  const api = yield* open("api", `troupe api ${nodeId}`)
  const main = yield* open("raft", connectionName(raftId))
  const bulk = yield* open("raft", bulkConnectionName(raftId))
  const system = yield* open("system", `troupe system ${nodeId}`)
  const connections = [transport, api, main, bulk, system]
  // The server first: what its own clients show next leads to the root that it then knows.
  if (tls) {
    yield* followTls(credentials, connections, (now) =>
      Effect.andThen(
        Effect.sync(() => writeTls(options.dataDir, now)),
        server.certified
      )
    )
  }
  yield* followRoutePassword(credentials, server, connections)
  const setPeers = Effect.fnUntraced(function* (
    peers: ReadonlyArray<Peer>,
    workers: ReadonlyArray<WorkerPeer>
  ) {
    const known = Effect.sync(() => {
      for (const each of connections) each.setServers(serversOf(peers))
    })
    yield* server
      .setPeers({
        routes: peers.filter((peer) => peer.nodeId !== nodeId).map(routeOf),
        members: [...peers, ...workers]
      })
      .pipe(Effect.ensuring(known))
  })
  const stir = Effect.sync(() => {
    const { raft, system: watcher } = server.credentials
    main.subscribe(`${raft.inboxPrefix}.stir`, {}, () => {}).unsubscribe()
    system.subscribe(`${watcher.inboxPrefix}.stir`, {}, () => {}).unsubscribe()
  })
  yield* stir.pipe(Effect.delay(stirEvery), Effect.forever, Effect.forkScoped)
  return {
    url: own,
    tls: tls !== undefined,
    transport,
    api,
    raft: { main, bulk },
    system,
    server,
    renew: renewing(connections),
    setPeers: (peers, workers) =>
      setPeers(peers, workers).pipe(
        Effect.retry({ schedule: Schedule.spaced("1 second"), times: 5 }),
        Effect.catch((error) => Effect.logError(`nats-server was not told of its peers: ${error.message}`))
      )
  }
})

const overForeignServer = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  urls: string
): Effect.fn.Return<ManagerNats, Error, Scope.Scope> {
  const { nodeId } = held.membership
  const creds = options.natsCreds === undefined ? undefined : yield* readCreds(options.natsCreds)
  const access = { servers: urls.split(","), nodeId, ...(creds && { creds }) }
  const transport = yield* natsTransport({ ...access, name: `troupe ${nodeId}` })
  const main = yield* natsTransport({ ...access, name: connectionName(raftIdOf(held)) })
  const bulk = yield* natsTransport({ ...access, name: bulkConnectionName(raftIdOf(held)) })
  return {
    url: urls,
    tls: false,
    transport,
    api: transport,
    raft: { main, bulk },
    system: undefined,
    server: undefined,
    renew: renewing([transport, main, bulk]),
    setPeers: () => Effect.void
  }
})

/** Servers dial each other every second, and take the second of two routes away. */
const routesSettle = "2 seconds"

/**
 * Another password of the routes cuts every route off. A server of 2.9 may keep what a route that was cut off had told it
 * of queues, and lead a share of what is said to them nowhere, until they have other names.
 */
export const followRoutePassword = Effect.fnUntraced(function* (
  credentials: Pick<CredentialsService, "held" | "follow">,
  server: Pick<NatsServerService, "setRoutePassword">,
  connections: ReadonlyArray<NatsTransportService>
): Effect.fn.Return<void, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const renew = Effect.sync(renewing(connections)).pipe(Effect.delay(routesSettle), Effect.forkIn(scope))
  const show = ({ membership: { routePassword = "" } }: Held): Effect.Effect<void> =>
    server.setRoutePassword(routePassword).pipe(
      Effect.flatMap((isNews) => (isNews ? Effect.asVoid(renew) : Effect.void)),
      Effect.catch(({ message }) => Effect.logError(`The routes' password is not in use: ${message}`))
    )
  yield* credentials.follow(show)
  // It may have changed since the server was started.
  yield* show(credentials.held())
})

export const renewing = (connections: ReadonlyArray<NatsTransportService>) => (): void => {
  for (const each of connections) void each.renew()
}

/** This manager's name in the Raft group; of a founder, and of managers of earlier releases, the node's own id. */
export const raftIdOf = ({ membership }: Held): string => membership.raftId ?? membership.nodeId

const hostOf = (listenAddr: string): string =>
  listenAddr === "0.0.0.0" ? "127.0.0.1" : listenAddr === "::" ? "[::1]" : bracketed(listenAddr)
/** As it stands before a port. */
const routeOf = ({ address, ports }: Peer): string => `${bracketed(address)}:${ports.route}`

const accessOf = ({ seed, inboxPrefix }: NatsCredentials) => ({ seed, inboxPrefix })

/** What this node shows, and by which root it knows the others. */
export const tlsOf = ({ membership, key }: Held) => ({
  cert: membership.certificate,
  key,
  ca: membership.root
})

/** Shows what the node holds from now on over these connections, whenever that changes; `before` comes first. */
export const followTls = (
  credentials: CredentialsService,
  connections: ReadonlyArray<NatsTransportService>,
  before: (held: Held) => Effect.Effect<void, Error> = () => Effect.void
): Effect.Effect<void, never, Scope.Scope> => {
  let shown = JSON.stringify(tlsOf(credentials.held()))
  return credentials.follow((held) => {
    const tls = tlsOf(held)
    const wanted = JSON.stringify(tls)
    if (wanted === shown) return Effect.void
    return before(held).pipe(
      Effect.andThen(Effect.promise(() => Promise.all(connections.map((each) => each.setTls(tls))))),
      Effect.tap(() =>
        Effect.sync(() => {
          shown = wanted
        })
      ),
      Effect.retry({ schedule: Schedule.spaced("1 second"), times: 5 }),
      Effect.catch(({ message }) => Effect.logError(`The new certificate is not in use yet: ${message}`))
    )
  })
}

/** nats-server reads its certificate from files. */
function writeTls(dataDir: string, { membership, key }: Held): NatsTls {
  const folder = join(natsPaths(dataDir).root, "tls")
  privateDirectory(natsPaths(dataDir).root)
  privateDirectory(folder)
  const files = {
    certFile: join(folder, "node.pem"),
    keyFile: join(folder, "node-key.pem"),
    caFile: join(folder, "root.pem")
  }
  writePrivate(files.certFile, membership.certificate)
  writePrivate(files.keyFile, key)
  writePrivate(files.caFile, membership.root)
  return files
}

export const readCreds = (path: string) =>
  Effect.tryPromise({
    try: async () => new Uint8Array(await readFile(path)),
    catch: (cause) => new Error(`--nats-creds '${path}': ${wordsOf(cause)}`)
  })
