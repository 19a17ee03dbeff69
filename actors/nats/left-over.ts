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
import { configureServer } from "#actors/nats/configure.ts"

/** Where it listens, until nodes have certificates. */
export const host = "127.0.0.1"

const Identity = Schema.Struct({ pid: Schema.Int, startTime: Schema.String })
/** What a manager leaves for the next one to find. */
const LeftOver = Schema.Struct({
  manager: Identity,
  server: Identity,
  guard: Schema.optionalKey(Identity),
  port: Schema.Int,
  digest: Schema.String
})
export type LeftOver = typeof LeftOver.Type

const settingsOf = (paths: NatsPaths, nodeId: string, port: number) => ({
  serverName: `troupe-${nodeId}`,
  host,
  port,
  portsDirectory: paths.ports,
  logFile: paths.log
})

/** Names what a running server cannot be told anew: a left-over with another digest is replaced. */
export const digestOf = (paths: NatsPaths, nodeId: string, port: number, binary: string): string =>
  createHash("sha256")
    .update(configureServer(settingsOf(paths, nodeId, port)))
    .update(binary)
    .digest("hex")

export const takeOverOrStart = Effect.fnUntraced(function* (options: {
  readonly left: LeftOver | undefined
  readonly paths: NatsPaths
  readonly binary: string
  readonly nodeId: string
  readonly users: string
  readonly wanted: number
}): Effect.fn.Return<RunningServer, NatsServerError> {
  const { left, paths, binary, nodeId, users, wanted } = options
  if (left !== undefined && isAlive(left.server)) {
    const sameWish = wanted === 0 || wanted === left.port
    if (sameWish && digestOf(paths, nodeId, left.port, binary) === left.digest) {
      yield* writeConfig(paths, nodeId, left.port, users)
      const adopted = yield* adoptServer(left.server, host, left.port).pipe(
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
  const startAt = Effect.fnUntraced(function* (port: number) {
    yield* writeConfig(paths, nodeId, port, users)
    return yield* startServer({ binary, paths, host, port })
  })
  // Clients that outlived the manager look for the server where it was.
  if (wanted === 0 && left !== undefined) {
    return yield* startAt(left.port).pipe(Effect.catch(() => startAt(0)))
  }
  return yield* startAt(wanted)
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

export const writeConfig = (
  paths: NatsPaths,
  nodeId: string,
  port: number,
  users: string
): Effect.Effect<void, NatsServerError> =>
  onDisk(paths, () => writePrivate(paths.config, configureServer(settingsOf(paths, nodeId, port)) + users))

export const onDisk = (paths: NatsPaths, write: () => void): Effect.Effect<void, NatsServerError> =>
  Effect.try({
    try: write,
    catch: (error) =>
      new NatsServerError({
        message: `Cannot write to ${paths.root}: ${error instanceof Error ? error.message : String(error)}`
      })
  })
