/** What a running daemon says of itself in its data directory, for the `troupe` command on the same machine. */
import { existsSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs"
import { join, resolve } from "node:path"
import process from "node:process"
import { Effect, Option, Schema } from "effect"
import { Flag } from "effect/cli"
import { readHeld } from "#actors/authority/store.ts"
import { writePrivate } from "#actors/drivers/machine/files.ts"
import { ownCredentials } from "#actors/nats/creds.ts"
import { tlsOf } from "#cli/manager-nats.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { usualDataDir } from "#cli/places.ts"
import { natsTransport } from "#runtime/transport/nats.ts"
import { wordsOf } from "#runtime/words-of.ts"

const Running = Schema.Struct({
  pid: Schema.Int,
  nodeId: Schema.String,
  clusterId: Schema.String,
  socket: Schema.String,
  http: Schema.String,
  nats: Schema.String,
  /** Whether nats-server asks for certificates. */
  natsTls: Schema.optionalKey(Schema.Boolean),
  /** The Engine it drives, if it does. */
  dockerHost: Schema.optionalKey(Schema.String)
})
export type Running = typeof Running.Type

export class NotRunning extends Schema.TaggedError<NotRunning>()("NotRunning", { message: Schema.String }) {}

const fileIn = (dataDir: string): string => join(dataDir, "running.json")

/** Beside a node's socket: a link to its data directory, for whoever knows the socket alone. */
const linkBeside = (socket: string): string => `${socket}.data`

/** The data directory of the node that has, or had, this socket. */
export function dataDirBeside(socket: string): string | undefined {
  try {
    return readlinkSync(linkBeside(resolve(socket)))
  } catch {
    return undefined
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** Where nobody says which: of the node that the other commands and the docker CLI speak to, else the usual one. */
export function dataDirMeant({ TROUPE_DATA_DIR, TROUPE_SOCKET, DOCKER_HOST }: Environment): string {
  const socket = TROUPE_SOCKET ?? /^unix:\/\/(.+)$/.exec(DOCKER_HOST ?? "")?.[1]
  return TROUPE_DATA_DIR ?? (socket === undefined ? undefined : dataDirBeside(socket)) ?? usualDataDir
}

/** Of a node that is there; `dataDirFlag` is for commands that begin one anew. */
export const nodeDataDirIfGiven = Flag.String("data-dir").pipe(
  Flag.withDescription("the daemon's data directory [TROUPE_DATA_DIR, else that of DOCKER_HOST's node]"),
  Flag.optional
)
export const nodeDataDirFlag = nodeDataDirIfGiven.pipe(
  Flag.map(Option.getOrElse(() => dataDirMeant(process.env)))
)

/** Nothing is written for a node that never was: nobody would read it. */
export const ofSomeNode = (dataDir: string): Effect.Effect<void, NotRunning> =>
  existsSync(join(dataDir, "http-token"))
    ? Effect.void
    : Effect.fail(
        new NotRunning({
          message: `--data-dir ${dataDir}: expected a directory that a node was started with`
        })
      )

export const dataDirFlag = Flag.String("data-dir").pipe(
  Flag.withDescription("the daemon's data directory [TROUPE_DATA_DIR]"),
  Flag.withDefault(process.env.TROUPE_DATA_DIR ?? usualDataDir)
)

/** What it says of its Engine. */
export const engineOf = ({ executor, dockerHost }: Pick<NodeOptions, "executor" | "dockerHost">) =>
  executor === "docker" ? { dockerHost } : {}

/** Written whenever the daemon serves as somebody else than before. A disk that does not take it costs no more than that. */
export const announceRunning = (dataDir: string, running: Running): Effect.Effect<void> =>
  Effect.try({
    try: () => {
      writePrivate(fileIn(dataDir), `${JSON.stringify(running, null, 2)}\n`)
      const link = linkBeside(running.socket)
      rmSync(link, { force: true })
      symlinkSync(resolve(dataDir), link)
    },
    catch: wordsOf
  }).pipe(
    Effect.catch((problem) =>
      Effect.logWarning(`Commands of troupe may not find this node until it is started again: ${problem}`)
    )
  )

/** Taken away when it ends in order, but not what another daemon wrote: this one may have ended because of that one. */
export const forgetRunning = ({ dataDir, socket }: Pick<NodeOptions, "dataDir" | "socket">) =>
  findRunning(dataDir).pipe(
    Effect.tap(({ pid }) =>
      Effect.sync(() => {
        if (pid === process.pid) rmSync(fileIn(dataDir), { force: true })
      })
    ),
    Effect.ignore,
    Effect.andThen(Effect.sync(() => rmSync(linkBeside(socket), { force: true })))
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

/** Why a node that runs has no NATS to ask its actors over. */
export const whyWithoutNats = ({ nodeId, nats }: Running): string | undefined => {
  if (nats !== "") return undefined
  return nodeId === ""
    ? "This node is in no cluster: docker swarm init makes one, docker swarm join joins one"
    : "This node is locked, has not come up yet, or waits to be begun anew (docker info says which), and runs no actors"
}

/** A connection with the daemon's own rights, for asking its actors. */
export const connectAs = Effect.fnUntraced(function* (dataDir: string, running: Running) {
  const why = whyWithoutNats(running)
  if (why !== undefined) return yield* new NotRunning({ message: why })
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
