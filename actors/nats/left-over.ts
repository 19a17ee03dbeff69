/**
 * How this node's nats-server begins: with its configuration on disk, and with what an earlier manager left running,
 * which is taken over where it is what we would start now, and ended where it is not.
 */
import { createHash } from "node:crypto"
import process from "node:process"
import { Effect, Schema } from "effect"
import { readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"
import { isAlive, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { stopProcess } from "#actors/drivers/machine/stop-process.ts"
import type { NatsPaths } from "#actors/drivers/nats-server/paths.ts"
import {
  adoptServer,
  NatsServerError,
  type RunningServer,
  serversWithConfig,
  startServer
} from "#actors/drivers/nats-server/process.ts"
import { configureServer, type NatsCluster, type NatsSettings, type NatsTls } from "#actors/nats/configure.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** What makes this node's server its own, whatever ports it has. */
export interface Site {
  readonly paths: NatsPaths
  readonly binary: string
  readonly nodeId: string
  /** Where clients reach it. */
  readonly host: string
  readonly tls?: NatsTls
  readonly cluster?: NatsCluster
}

export interface Ports {
  /** 0 lets the server choose. */
  readonly port: number
  readonly routePort: number | undefined
}

const Identity = Schema.Struct({ pid: Schema.Int, startTime: Schema.String })
/** What a manager leaves for the next one to find. */
const LeftOver = Schema.Struct({
  manager: Identity,
  server: Identity,
  guard: Schema.optionalKey(Identity),
  port: Schema.Int,
  routePort: Schema.optionalKey(Schema.Int),
  digest: Schema.String
})
export type LeftOver = typeof LeftOver.Type

const settingsOf = (
  { paths, nodeId, host, tls, cluster }: Site,
  { port, routePort }: Ports
): NatsSettings => ({
  serverName: `troupe-${nodeId}`,
  host,
  port,
  portsDirectory: paths.ports,
  logFile: paths.log,
  ...(tls && { tls }),
  ...(cluster && { cluster: { ...cluster, port: routePort ?? cluster.port } })
})

/** Names what a running server cannot be told anew: a left-over with another digest is replaced. */
export function digestOf(site: Site, ports: Ports): string {
  const { cluster } = site
  const lasting = cluster ? { ...site, cluster: { ...cluster, routes: [] } } : site
  return createHash("sha256")
    .update(configureServer(settingsOf(lasting, ports)))
    .update(site.binary)
    .digest("hex")
}

export const takeOverOrStart = Effect.fnUntraced(function* (options: {
  readonly left: LeftOver | undefined
  readonly site: Site
  readonly users: string
  readonly wanted: number
}): Effect.fn.Return<RunningServer, NatsServerError> {
  const { left, site, users, wanted } = options
  const { paths, binary, host } = site
  const before: Ports | undefined = left && { port: left.port, routePort: left.routePort }
  if (left !== undefined && before !== undefined && isAlive(left.server)) {
    const sameWish =
      (wanted === 0 || wanted === left.port) && (!site.cluster?.port || site.cluster.port === left.routePort)
    if (sameWish && digestOf(site, before) === left.digest) {
      yield* writeConfig(site, before, users)
      const adopted = yield* adoptServer(left.server, host, left.port, left.routePort).pipe(
        Effect.catch(() => Effect.succeed(undefined))
      )
      if (adopted !== undefined) {
        signalProcess(left.server, "SIGHUP")
        yield* Effect.logInfo(`Took over nats-server (pid ${left.server.pid}) on ${host}:${left.port}`)
        return adopted
      }
    }
    yield* stopProcess(left.server)
  }
  const startAt = Effect.fnUntraced(function* (ports: Ports) {
    yield* writeConfig(site, ports, users)
    return yield* startServer({ binary, paths, host, port: ports.port })
  })
  const anew: Ports = { port: wanted, routePort: undefined }
  // Clients and servers that outlived the manager look for the server where it was.
  if (before !== undefined && (wanted === 0 || wanted === before.port)) {
    const routePort = site.cluster?.port === 0 ? before.routePort : undefined
    return yield* startAt({ port: before.port, routePort }).pipe(Effect.catch(() => startAt(anew)))
  }
  return yield* startAt(anew)
})

export const refuseSecondManager = (
  left: LeftOver | undefined,
  dataDir: string
): Effect.Effect<void, NatsServerError> =>
  left !== undefined && left.manager.pid !== process.pid && isAlive(left.manager)
    ? Effect.fail(
        new NatsServerError({
          message: `Cannot start nats-server: the data dir ${dataDir} is in use by another manager (pid ${left.manager.pid})`
        })
      )
    : Effect.void

/** A manager killed between starting a server and writing that down leaves one that holds the port. */
export const endStrays = (paths: NatsPaths, left: LeftOver | undefined): Effect.Effect<void> =>
  Effect.forEach(
    serversWithConfig(paths.config).filter((stray) => stray.pid !== left?.server.pid),
    (stray) =>
      Effect.andThen(
        Effect.logWarning(`Ending a nats-server (pid ${stray.pid}) that an earlier manager left behind`),
        stopProcess(stray)
      ),
    { discard: true }
  )

/** What an earlier manager wrote; nothing when it cannot be read, as then nothing can be told about it. */
export function readLeftOver(paths: NatsPaths): LeftOver | undefined {
  try {
    const text = readIfThere(paths.state)
    return text === undefined ? undefined : Schema.decodeUnknownSync(LeftOver)(JSON.parse(text))
  } catch {
    return undefined
  }
}

export const writeConfig = (site: Site, ports: Ports, users: string): Effect.Effect<void, NatsServerError> =>
  onDisk(site.paths, () => writePrivate(site.paths.config, configureServer(settingsOf(site, ports)) + users))

export const onDisk = (paths: NatsPaths, write: () => void): Effect.Effect<void, NatsServerError> =>
  Effect.try({
    try: write,
    catch: (error) =>
      new NatsServerError({
        message: `Cannot write to ${paths.root}: ${wordsOf(error)}`
      })
  })
