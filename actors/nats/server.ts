/**
 * This node's nats-server, kept alive: configured, started or taken over, brought back when it dies, reloaded
 * when a client is let in or shut out, ended with the scope.
 */
import { readdirSync, rmSync, watch } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { Duration, Effect, Queue, type Scope } from "effect"
import { privateDirectory, writePrivate } from "#actors/drivers/machine/files.ts"
import { identityOf, signalGroup, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { stopProcess } from "#actors/drivers/machine/stop-process.ts"
import { type Guard, startGuard } from "#actors/drivers/nats-server/guard.ts"
import { type NatsPaths, natsPaths } from "#actors/drivers/nats-server/paths.ts"
import {
  findBinary,
  greet,
  NatsServerError,
  type RunningServer,
  startServer
} from "#actors/drivers/nats-server/process.ts"
import { configureUsers, delayBefore, warnOfVersion } from "#actors/nats/configure.ts"
import { listClients, type NatsCredentials, ownCredentials, usersOf } from "#actors/nats/creds.ts"
import {
  digestOf,
  endStrays,
  host,
  type LeftOver,
  onDisk,
  readLeftOver,
  refuseSecondManager,
  takeOverOrStart,
  writeConfig
} from "#actors/nats/left-over.ts"

export interface NatsServerOptions {
  readonly dataDir: string
  readonly nodeId: string
  /** Where it listens on 127.0.0.1; 0 for any free port, kept over restarts. Default 4222. */
  readonly port?: number
  /** The executable; found in PATH and the usual places when absent. */
  readonly binary?: string
  /** How often it is asked whether it still answers, in milliseconds. Default 5,000. */
  readonly attendEveryMs?: number
}

export interface NatsServerStatus {
  readonly state: "running" | "restarting" | "stopped"
  readonly pid?: number
  readonly version: string
  /** Whether a server that an earlier manager started was taken over. */
  readonly adopted: boolean
  /** How often it had to be brought back. */
  readonly restarts: number
  readonly lastError?: string
  /** What an operator should know of this version. */
  readonly warning?: string
}

export interface NatsServerService {
  readonly url: string
  /** The daemon's: everything under `troupe.>`. */
  readonly credentials: NatsCredentials
  /** For the side that serves other systems: it can answer inboxes and publish events, nothing else. */
  readonly apiCredentials: NatsCredentials
  readonly status: () => NatsServerStatus
}

const defaultPort = 4222
const attendEveryMs = 5_000
/** Three silent greetings in a row, 2 s each, before a server that still has a process counts as hung. */
const greetWithinMs = 2_000
const silencesBeforeKill = 3
/** A server that ran this long was well: the next restart starts from the shortest delay again. */
const wellAfterMs = 10_000
const rotatedLogsKept = 2

/** Everything that one supervised server is made of, changed in place by its supervisor. */
interface Supervision {
  readonly paths: NatsPaths
  readonly binary: string
  readonly nodeId: string
  readonly own: { readonly daemon: NatsCredentials; readonly api: NatsCredentials }
  readonly dataDir: string
  readonly guard: Guard
  running: RunningServer
  users: string
  /** What was wrong with clients' files when they were last read; said once, not every time. */
  problems: string
  state: NatsServerStatus["state"]
  restarts: number
  lastError: string | undefined
}

const cannot = (error: { readonly message: string }): NatsServerError =>
  new NatsServerError({ message: error.message })

/**
 * Starts this node's nats-server, or takes over the one that a crashed manager left, and keeps it running until
 * the scope closes. Fails when it cannot be started at all; later deaths are repaired here.
 */
export const startNatsServer = Effect.fn("nats.start")(function* (
  options: NatsServerOptions
): Effect.fn.Return<NatsServerService, NatsServerError, Scope.Scope> {
  const supervision = yield* Effect.acquireRelease(launch(options), shutDown)
  const warning = warnOfVersion(supervision.running.version)
  if (warning !== undefined) yield* Effect.logWarning(warning)

  const nudges = yield* Queue.sliding<"look">(1)
  yield* watchClients(supervision.paths, () => Queue.offerUnsafe(nudges, "look"))
  yield* Effect.forkScoped(supervise(supervision))
  yield* Effect.forkScoped(attend(supervision, nudges, options.attendEveryMs ?? attendEveryMs))

  return {
    url: `nats://${host}:${supervision.running.port}`,
    credentials: supervision.own.daemon,
    apiCredentials: supervision.own.api,
    status: () => statusOf(supervision)
  }
})

function statusOf(supervision: Supervision): NatsServerStatus {
  const { state, running, restarts, lastError } = supervision
  const warning = warnOfVersion(running.version)
  return {
    state,
    ...(state === "running" ? { pid: running.identity.pid } : {}),
    version: running.version,
    adopted: running.adopted,
    restarts,
    ...(lastError === undefined ? {} : { lastError }),
    ...(warning === undefined ? {} : { warning })
  }
}

const launch = Effect.fnUntraced(function* (
  options: NatsServerOptions
): Effect.fn.Return<Supervision, NatsServerError> {
  const { dataDir, nodeId } = options
  const wanted = options.port ?? defaultPort
  const paths = natsPaths(dataDir)
  const binary = yield* findBinary(options.binary)
  const own = yield* ownCredentials(dataDir, nodeId).pipe(Effect.mapError(cannot))
  yield* onDisk(paths, () => {
    privateDirectory(paths.root)
    privateDirectory(paths.creds)
    privateDirectory(paths.ports)
  })
  const { users, problems } = yield* currentUsers(dataDir, own, "")

  const left = readLeftOver(paths)
  yield* refuseSecondManager(left, dataDir)
  if (left?.guard !== undefined) signalGroup(left.guard, "SIGKILL")
  yield* endStrays(paths, left)
  const running = yield* takeOverOrStart({ left, paths, binary, nodeId, users, wanted })

  const supervision: Supervision = {
    paths,
    binary,
    nodeId,
    own,
    dataDir,
    guard: startGuard(running.identity, () => remember(supervision)),
    running,
    users,
    problems,
    state: "running",
    restarts: 0,
    lastError: undefined
  }
  yield* onDisk(paths, () => remember(supervision)).pipe(Effect.tapError(() => shutDown(supervision)))
  return supervision
})

/** Brings the server back whenever it dies, at the same port, sooner the longer it had been well. */
const supervise = Effect.fnUntraced(function* (supervision: Supervision) {
  let attempt = 0
  while (true) {
    const since = performance.now()
    const how = yield* Effect.promise(() => supervision.running.exited)
    if (performance.now() - since > wellAfterMs) attempt = 0
    supervision.state = "restarting"
    supervision.lastError = how
    yield* Effect.logWarning(
      `nats-server (pid ${supervision.running.identity.pid}) ended: ${how}; starting it again`
    )
    while (supervision.state === "restarting") {
      attempt += 1
      yield* Effect.sleep(Duration.millis(delayBefore(attempt)))
      yield* restart(supervision).pipe(
        Effect.catch((error) => {
          supervision.lastError = error.message
          return Effect.logError(error.message)
        })
      )
    }
  }
})

const restart = (supervision: Supervision): Effect.Effect<void, NatsServerError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { paths, binary, nodeId, running } = supervision
      yield* writeConfig(paths, nodeId, running.port, supervision.users)
      supervision.running = yield* restore(startServer({ binary, paths, host, port: running.port }))
      supervision.restarts += 1
      supervision.state = "running"
      yield* onDisk(paths, () => remember(supervision))
    })
  )

/** Every few seconds, and when the clients' directory changes: rights are current, logs few, the server awake. */
const attend = Effect.fnUntraced(function* (
  supervision: Supervision,
  nudges: Queue.Queue<"look">,
  everyMs: number
) {
  let silences = 0
  while (true) {
    const nudged = yield* Queue.take(nudges).pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(everyMs),
        orElse: () => Effect.succeed("later" as const)
      })
    )
    yield* refreshUsers(supervision).pipe(Effect.catch((error) => Effect.logError(error.message)))
    if (nudged === "look" || supervision.state !== "running") continue
    pruneLogs(supervision.paths)
    const { running } = supervision
    silences = yield* greet(host, running.port, greetWithinMs).pipe(
      Effect.map(() => 0),
      Effect.catch(() => Effect.succeed(silences + 1))
    )
    if (silences < silencesBeforeKill) continue
    silences = 0
    yield* Effect.logError(
      `nats-server (pid ${running.identity.pid}) has been silent for a while; killing it`
    )
    signalProcess(running.identity, "SIGKILL")
  }
})

const refreshUsers = Effect.fnUntraced(function* (
  supervision: Supervision
): Effect.fn.Return<void, NatsServerError> {
  const { dataDir, own } = supervision
  const { users, problems } = yield* currentUsers(dataDir, own, supervision.problems)
  supervision.problems = problems
  if (users === supervision.users) return
  supervision.users = users
  yield* writeConfig(supervision.paths, supervision.nodeId, supervision.running.port, users)
  signalProcess(supervision.running.identity, "SIGHUP")
})

const currentUsers = Effect.fnUntraced(function* (
  dataDir: string,
  own: Supervision["own"],
  saidBefore: string
): Effect.fn.Return<{ readonly users: string; readonly problems: string }, NatsServerError> {
  const { clients, problems } = yield* listClients(dataDir).pipe(Effect.mapError(cannot))
  const said = problems.join("\n")
  if (said !== "" && said !== saidBefore) yield* Effect.logWarning(said)
  return { users: configureUsers(usersOf(own, clients)), problems: said }
})

const watchClients = (paths: NatsPaths, changed: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      try {
        const watcher = watch(paths.creds, { persistent: false }, changed)
        watcher.on("error", () => {})
        return watcher
      } catch {
        // Without notices the directory is still read every few seconds.
        return undefined
      }
    }),
    (watcher) => Effect.sync(() => watcher?.close())
  ).pipe(Effect.asVoid)

const shutDown = (supervision: Supervision): Effect.Effect<void> =>
  Effect.gen(function* () {
    supervision.state = "stopped"
    yield* stopProcess(supervision.running.identity)
    supervision.guard.dismiss()
    rmSync(supervision.paths.state, { force: true })
  })

function remember(supervision: Supervision): void {
  const { running, paths, nodeId, binary } = supervision
  supervision.guard.watch(running.identity)
  const manager = identityOf(process.pid)
  const guard = supervision.guard.identity()
  if (manager === undefined) return
  const state: LeftOver = {
    manager,
    server: running.identity,
    ...(guard === undefined ? {} : { guard }),
    port: running.port,
    digest: digestOf(paths, nodeId, running.port, binary)
  }
  writePrivate(paths.state, `${JSON.stringify(state)}\n`)
}

/** Older servers rotate their log without ever removing one. */
function pruneLogs(paths: NatsPaths): void {
  const rotated = readdirSync(paths.root)
    .filter((name) => name.startsWith("server.log."))
    .sort()
  for (const name of rotated.slice(0, -rotatedLogsKept)) rmSync(join(paths.root, name), { force: true })
}
