/** What a running daemon says of itself in its data directory, for the `troupe` command on the same machine. */
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { Effect, Schema } from "effect"
import { Flag } from "effect/cli"
import { readHeld } from "#actors/authority/store.ts"
import { ownCredentials } from "#actors/nats/creds.ts"
import { tlsOf } from "#cli/manager-nats.ts"
import { usualDataDir } from "#cli/places.ts"
import { natsTransport } from "#runtime/transport/nats.ts"

const Running = Schema.Struct({
  pid: Schema.Int,
  nodeId: Schema.String,
  clusterId: Schema.String,
  socket: Schema.String,
  http: Schema.String,
  nats: Schema.String,
  /** Whether nats-server asks for certificates. */
  natsTls: Schema.optionalKey(Schema.Boolean)
})
export type Running = typeof Running.Type

export class NotRunning extends Schema.TaggedError<NotRunning>()("NotRunning", { message: Schema.String }) {}

const fileIn = (dataDir: string): string => join(dataDir, "running.json")

export const dataDirFlag = Flag.String("data-dir").pipe(
  Flag.withDescription("the daemon's data directory [TROUPE_DATA_DIR]"),
  Flag.withDefault(process.env.TROUPE_DATA_DIR ?? usualDataDir)
)

/** Written once the daemon serves, taken away when it ends in order. */
export const announceRunning = (dataDir: string, running: Running) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      writeFileSync(fileIn(dataDir), `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 })
    ),
    () => Effect.sync(() => rmSync(fileIn(dataDir), { force: true }))
  )

export const findRunning = (dataDir: string): Effect.Effect<Running, NotRunning> =>
  Effect.try({
    try: () => {
      const running = Schema.decodeUnknownSync(Running)(JSON.parse(readFileSync(fileIn(dataDir), "utf8")))
      process.kill(running.pid, 0)
      return running
    },
    catch: () => new NotRunning({ message: `No Troupe node runs with --data-dir ${dataDir}` })
  })

/** A connection with the daemon's own rights, for asking its actors. */
export const connectAs = Effect.fnUntraced(function* (dataDir: string, running: Running) {
  const { daemon } = yield* ownCredentials(dataDir, running.nodeId)
  const held = yield* readHeld(dataDir)
  return yield* natsTransport({
    servers: [running.nats],
    nodeId: running.nodeId,
    seed: daemon.seed,
    // Shown where it is asked for.
    ...(held !== undefined && running.natsTls && { tls: tlsOf(held) }),
    name: "troupe command"
  })
})
