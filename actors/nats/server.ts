/**
 * This node's nats-server, kept alive: configured, started or taken over, brought back when it dies, reloaded
 * when a client is let in or shut out or a server joins the cluster, restarted in order, ended with the scope.
 */
import { readdirSync, rmSync, watch } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { Context, Duration, Effect, Queue, type Scope } from "effect"
import { privateDirectory, writePrivate } from "#actors/drivers/machine/files.ts"
import { identityOf, signalGroup, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { stopProcess } from "#actors/drivers/machine/stop-process.ts"
import { type Guard, startGuard } from "#actors/drivers/nats-server/guard.ts"
import { ServerLog } from "#actors/drivers/nats-server/log.ts"
import { type NatsPaths, natsPaths } from "#actors/drivers/nats-server/paths.ts"
import {
  findBinary,
  greet,
  NatsServerError,
  type RunningServer,
  startServer
} from "#actors/drivers/nats-server/process.ts"
import {
  configureUsers,
  delayBefore,
  type NatsCluster,
  type NatsTls,
  warnOfVersion
} from "#actors/nats/configure.ts"
import {
  listClients,
  type NatsMember,
  type OwnCredentials,
  ownCredentials,
  publicKeysOf,
  usersOf
} from "#actors/nats/creds.ts"
import {
  digestOf,
  endStrays,
  type LeftOver,
  onDisk,
  readLeftOver,
  refuseSecondManager,
  type Site,
  takeOverOrStart,
  writeConfig
} from "#actors/nats/left-over.ts"
import { type Refusal, refusalsIn } from "#actors/nats/refusals.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface NatsServerOptions {
  readonly dataDir: string
  readonly nodeId: string
  /** This manager's name in the Raft group; the node's id when absent. */
  readonly raftId?: string
  readonly clusterId: string
  /** The other managers as they were last known: theirs may come here from the start. */
  readonly members?: ReadonlyArray<NatsMember>
  /** Where clients reach it. Default 127.0.0.1, for as long as clients have no certificates. */
  readonly host?: string
  /** 0 for any free port, kept over restarts. Default 4222. */
  readonly port?: number
  /** For clients. */
  readonly tls?: NatsTls
  /** The other managers' servers; alone without. */
  readonly cluster?: NatsCluster
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

/** The other members of the cluster. */
export interface NatsPeers {
  /** `host:port` of every server's route. */
  readonly routes: ReadonlyArray<string>
  /** Nodes whose connections may come to this server: a manager lists its own server first, and goes on to the others. */
  readonly members: ReadonlyArray<NatsMember>
}

export interface NatsServerService {
  readonly url: string
  /** By what the connection is for; see `rights.ts`. */
  readonly credentials: OwnCredentials
  /** `host:port` where the cluster's other servers join it. */
  readonly route: string | undefined
  readonly status: () => NatsServerStatus
  /** Completes with the status once it is another than `seen`. */
  readonly changed: (seen: NatsServerStatus) => Effect.Effect<NatsServerStatus>
  /** The cluster's servers and nodes from now on. None that stays is cut off. */
  readonly setPeers: (peers: NatsPeers) => Effect.Effect<void, NatsServerError>
  /** What servers show each other from now on. Whoever joined with another one is cut off. Says whether that is news. */
  readonly setRoutePassword: (password: string) => Effect.Effect<boolean, NatsServerError>
  /** Its files of `tls` hold something else: new connections are made with that. */
  readonly certified: Effect.Effect<void, NatsServerError>
  /**
   * Ends it in order and starts it again: its clients are asked to go to other servers first. Completes when it takes
   * connections again.
   */
  readonly restart: Effect.Effect<void, NatsServerError>
  /** Tells of what it turns away from external clients, within seconds, until the scope closes. */
  readonly refusals: (listen: (refusal: Refusal) => void) => Effect.Effect<void, never, Scope.Scope>
}

export class NatsServer extends Context.Service<NatsServer, NatsServerService>()(
  "troupe/actors/nats/NatsServer"
) {}

const defaultPort = 4222
const attendEveryMs = 5_000
/** Three silent greetings in a row, 2 s each, before a server that still has a process counts as hung. */
const greetWithinMs = 2_000
const silencesBeforeKill = 3
/** A server that ran this long was well: the next restart starts from the shortest delay again. */
const wellAfterMs = 10_000
const rotatedLogsKept = 2
/** It takes some milliseconds; a server that is busy or stuck is not waited for. */
const reloadWithinMs = 2_000
const lookAtLogEveryMs = 20
const saysReloaded = /Reloaded server configuration|Failed to reload/
/**
 * A server of 2.9 whose accounts change knows none of them for a moment, and forgets whatever another server tells it
 * then of its clients' subscriptions. It says so, and nobody tells it again: to its own clients, those others are nobody.
 */
const hasForgotten = /Unknown account "(TROUPE|SYSTEM)" for remote subject/
/** Ours have moved within 0.3 s of being asked to; a busy machine and other people's clients get more. */
const leaveWithinMs = 1_500
const backWithinMs = 15_000
const restartedByHand = "restarted by hand"

/** Everything that one supervised server is made of, changed in place by its supervisor. */
interface Supervision {
  site: Site
  readonly own: OwnCredentials
  readonly dataDir: string
  readonly clusterId: string
  /** This manager itself. */
  readonly self: NatsMember
  readonly guard: Guard
  running: RunningServer
  members: NatsPeers["members"]
  users: string
  /** Of external clients, by their public keys. */
  names: ReadonlyMap<string, string>
  readonly listening: Set<(refusal: Refusal) => void>
  /** What was wrong with clients' files when they were last read; said once, not every time. */
  problems: string
  state: NatsServerStatus["state"]
  restarts: number
  /** How often it was to read its configuration anew. */
  reloads: number
  /** What it is to read could not be written; it is tried again. */
  unwritten: boolean
  lastError: string | undefined
  /** Whether the end of the server that runs now was asked for. */
  ordered: boolean
  readonly waiting: Set<() => void>
}

function become(supervision: Supervision, change: Partial<Supervision>): void {
  Object.assign(supervision, change)
  for (const told of [...supervision.waiting]) told()
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
  yield* watchClients(supervision.site.paths, () => Queue.offerUnsafe(nudges, "look"))
  yield* Effect.forkScoped(supervise(supervision))
  yield* Effect.forkScoped(attend(supervision, nudges, options.attendEveryMs ?? attendEveryMs))

  const { site, running } = supervision
  return {
    url: `nats://${site.host}:${running.port}`,
    route: site.cluster && `${site.cluster.host}:${running.routePort}`,
    credentials: supervision.own,
    status: () => statusOf(supervision),
    changed: (seen) => changed(supervision, seen),
    setPeers: (peers) => setPeers(supervision, peers),
    setRoutePassword: (password) => setRoutePassword(supervision, password),
    certified: Effect.suspend(() => reload(supervision)),
    restart: restartInOrder(supervision),
    refusals: (listen) =>
      Effect.acquireRelease(
        Effect.sync(() => supervision.listening.add(listen)),
        () => Effect.sync(() => supervision.listening.delete(listen))
      )
  }
})

const changed = (supervision: Supervision, seen: NatsServerStatus): Effect.Effect<NatsServerStatus> =>
  Effect.callback((resume) => {
    const look = (): void => {
      const now = statusOf(supervision)
      if (JSON.stringify(now) === JSON.stringify(seen)) return
      supervision.waiting.delete(look)
      resume(Effect.succeed(now))
    }
    supervision.waiting.add(look)
    look()
    return Effect.sync(() => supervision.waiting.delete(look))
  })

const setPeers = Effect.fnUntraced(function* (
  supervision: Supervision,
  { routes, members }: NatsPeers
): Effect.fn.Return<void, NatsServerError> {
  const { cluster } = supervision.site
  if (cluster === undefined)
    return yield* cannot({ message: "Cannot set peers: nats-server is in no cluster" })
  supervision.members = members
  const join = Effect.sync(() => {
    supervision.site = { ...supervision.site, cluster: { ...cluster, routes } }
  })
  // Accounts before routes: what comes over a new route while accounts change is dropped for good.
  yield* refreshUsers(supervision).pipe(Effect.ensuring(join))
  yield* reload(supervision)
})

const setRoutePassword = Effect.fnUntraced(function* (
  supervision: Supervision,
  password: string
): Effect.fn.Return<boolean, NatsServerError> {
  const { cluster, paths } = supervision.site
  if (cluster === undefined || cluster.password === password) return false
  supervision.site = { ...supervision.site, cluster: { ...cluster, password } }
  yield* reload(supervision)
  // The next manager compares what it would start with what it finds.
  yield* onDisk(paths, () => remember(supervision))
  return true
})

const restartInOrder = Effect.fnUntraced(function* (
  supervision: Supervision
): Effect.fn.Return<void, NatsServerError> {
  const { running, site } = supervision
  if (supervision.state !== "running")
    return yield* cannot({ message: "Cannot restart nats-server: it is down" })
  const before = supervision.restarts
  supervision.ordered = true
  if (site.cluster) {
    signalProcess(running.identity, "SIGUSR2")
    yield* Effect.sleep(Duration.millis(leaveWithinMs))
    // One that is on its way out takes no notice of SIGTERM.
    signalProcess(running.identity, "SIGINT")
  }
  yield* stopProcess(running.identity)
  const isBack = Effect.gen(function* () {
    let seen = statusOf(supervision)
    while (supervision.restarts === before) seen = yield* changed(supervision, seen)
  })
  const late = Effect.suspend(() =>
    Effect.fail(cannot({ message: `nats-server is not back: ${supervision.lastError}` }))
  )
  yield* isBack.pipe(Effect.timeoutOrElse({ duration: Duration.millis(backWithinMs), orElse: () => late }))
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
  const self = { nodeId, raftId: options.raftId ?? nodeId, keys: publicKeysOf(own) }
  const { clusterId, members = [] } = options
  const current = yield* currentUsers({ dataDir, clusterId, self, members, problems: "" })

  const left = readLeftOver(paths)
  yield* refuseSecondManager(left, dataDir)
  if (left?.guard !== undefined) signalGroup(left.guard, "SIGKILL")
  yield* endStrays(paths, left)
  const { host = "127.0.0.1", tls, cluster } = options
  const site: Site = { paths, binary, nodeId, host, ...(tls && { tls }), ...(cluster && { cluster }) }
  const running = yield* takeOverOrStart({ left, site, users: current.users, wanted })

  const supervision: Supervision = {
    site,
    own,
    dataDir,
    clusterId,
    self,
    guard: startGuard(running.identity, () => remember(supervision)),
    running,
    members,
    ...current,
    listening: new Set(),
    state: "running",
    restarts: 0,
    reloads: 0,
    unwritten: false,
    lastError: undefined,
    ordered: false,
    waiting: new Set()
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
    const { ordered, running } = supervision
    if (ordered) attempt = 0
    become(supervision, { state: "restarting", lastError: ordered ? restartedByHand : how, ordered: false })
    const words = `nats-server (pid ${running.identity.pid}) ended: ${supervision.lastError}; starting it again`
    yield* ordered ? Effect.logInfo(words) : Effect.logWarning(words)
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
      const { site, running, users, reloads } = supervision
      const { paths, binary, host } = site
      yield* writeConfig(site, running, users)
      const started = yield* restore(startServer({ binary, paths, host, port: running.port }))
      become(supervision, { running: started, restarts: supervision.restarts + 1, state: "running" })
      yield* onDisk(paths, () => remember(supervision))
      // What it was to be told meanwhile it may have read too early.
      if (supervision.reloads > reloads) yield* restore(reload(supervision))
    })
  )

/** Every few seconds, and when the clients' directory changes: rights are current, logs few, the server awake. */
const attend = Effect.fnUntraced(function* (
  supervision: Supervision,
  nudges: Queue.Queue<"look">,
  everyMs: number
) {
  const attention: Attention = { log: new ServerLog(supervision.site.paths.log), silences: 0 }
  while (true) {
    const nudged = yield* Queue.take(nudges).pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(everyMs),
        orElse: () => Effect.succeed("later" as const)
      })
    )
    // A disk that cannot be read for a moment must not end the care for good.
    yield* look(supervision, attention, nudged === "later").pipe(
      Effect.catchDefect((defect) => Effect.logError(`Cannot look after nats-server: ${wordsOf(defect)}`))
    )
  }
})

interface Attention {
  readonly log: ServerLog
  silences: number
}

const look = Effect.fnUntraced(function* (
  supervision: Supervision,
  attention: Attention,
  isItsTime: boolean
) {
  yield* refreshUsers(supervision).pipe(Effect.catch((error) => Effect.logError(error.message)))
  const said = attention.log.read()
  for (const refusal of refusalsIn(said, supervision.names))
    for (const listen of supervision.listening) listen(refusal)
  if (hasForgotten.test(said) && supervision.state === "running") {
    yield* Effect.logWarning("nats-server has forgotten what others' clients hear: restarting it")
    yield* restartInOrder(supervision).pipe(Effect.catch((error) => Effect.logError(error.message)))
  }
  if (!isItsTime || supervision.state !== "running") return
  const { running, site } = supervision
  const isAwake = yield* greet(site.host, running.port, greetWithinMs).pipe(
    Effect.as(true),
    Effect.catch(() => Effect.succeed(false))
  )
  attention.silences = isAwake ? 0 : attention.silences + 1
  if (attention.silences >= silencesBeforeKill) {
    attention.silences = 0
    yield* Effect.logError(
      `nats-server (pid ${running.identity.pid}) has been silent for a while; killing it`
    )
    signalProcess(running.identity, "SIGKILL")
  }
  pruneLogs(site.paths)
})

const refreshUsers = Effect.fnUntraced(function* (
  supervision: Supervision
): Effect.fn.Return<void, NatsServerError> {
  const { users, problems, names } = yield* currentUsers(supervision)
  Object.assign(supervision, { problems, names })
  if (users === supervision.users && !supervision.unwritten) return
  supervision.users = users
  yield* reload(supervision)
})

/** Has the server read its configuration anew, and waits until it says that it has. */
const reload = Effect.fnUntraced(function* (
  supervision: Supervision
): Effect.fn.Return<void, NatsServerError> {
  supervision.reloads++
  supervision.unwritten = true
  const { site, running, users } = supervision
  const log = new ServerLog(site.paths.log)
  yield* writeConfig(site, running, users)
  supervision.unwritten = false
  if (!signalProcess(running.identity, "SIGHUP")) return
  for (let waited = 0; waited < reloadWithinMs; waited += lookAtLogEveryMs) {
    yield* Effect.sleep(Duration.millis(lookAtLogEveryMs))
    if (saysReloaded.test(log.read())) return
  }
})

const currentUsers = Effect.fnUntraced(function* ({
  dataDir,
  clusterId,
  self,
  members,
  problems: saidBefore
}: Pick<Supervision, "dataDir" | "clusterId" | "self" | "members" | "problems">): Effect.fn.Return<
  Pick<Supervision, "users" | "problems" | "names">,
  NatsServerError
> {
  const { clients, problems } = yield* listClients(dataDir).pipe(Effect.mapError(cannot))
  const said = problems.join("\n")
  if (said !== "" && said !== saidBefore) yield* Effect.logWarning(said)
  const others = members.filter(({ nodeId }) => nodeId !== self.nodeId)
  return {
    users: configureUsers(usersOf(clusterId, [self, ...others], clients)),
    problems: said,
    names: new Map(clients.map(({ publicKey, name }) => [publicKey, name]))
  }
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
    become(supervision, { state: "stopped" })
    yield* stopProcess(supervision.running.identity)
    supervision.guard.dismiss()
    rmSync(supervision.site.paths.state, { force: true })
  })

function remember(supervision: Supervision): void {
  const { running, site } = supervision
  supervision.guard.watch(running.identity)
  const manager = identityOf(process.pid)
  const guard = supervision.guard.identity()
  if (manager === undefined) return
  const state: LeftOver = {
    manager,
    server: running.identity,
    ...(guard === undefined ? {} : { guard }),
    port: running.port,
    ...(running.routePort === undefined ? {} : { routePort: running.routePort }),
    digest: digestOf(site, running)
  }
  writePrivate(site.paths.state, `${JSON.stringify(state)}\n`)
}

/** Older servers rotate their log without ever removing one. */
function pruneLogs(paths: NatsPaths): void {
  const rotated = readdirSync(paths.root)
    .filter((name) => name.startsWith("server.log."))
    .sort()
  for (const name of rotated.slice(0, -rotatedLogsKept)) rmSync(join(paths.root, name), { force: true })
}
