/**
 * The composition root: every part of a node is named here once, in the order in which they rely on each other.
 *
 *     identity → Engine → nats-server → transport → ledger → actors (leader, node) → gateway, NATS API
 *
 * Each part lives in the scope of one life and is ended in the reverse order. A node has one life after another
 * (`lives.ts`); those in which it takes part in no cluster are in `alone.ts`. The doors are the daemon's own, all lives
 * answer there. Tasks go on when the daemon ends.
 */
import { mkdirSync } from "node:fs"
import { networkInterfaces } from "node:os"
import process from "node:process"
import { Context, Deferred, Effect, Layer, Queue } from "effect"
import { AlertSurroundings } from "#actors/alerts/actor.ts"
import { Credentials, type CredentialsService, openCredentials } from "#actors/authority/credentials.ts"
import type { Membership as Certified } from "#actors/authority/protocol.ts"
import { type Held, readHeld } from "#actors/authority/store.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { VolumePlugins } from "#actors/drivers/volume-plugins.ts"
import type { EngineDoors } from "#actors/gateway/open.ts"
import { keepChanges } from "#actors/history/keeper.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { keepHistory } from "#actors/meter/keep.ts"
import { NatsServer } from "#actors/nats/server.ts"
import { hasLeft } from "#actors/node/protocol.ts"
import { ManagersListener, Reconnect, StandingListener } from "#actors/node/session/actor.ts"
import type { Standing } from "#actors/node/session/protocol.ts"
import { DiskFolder, FiguresOutlet } from "#actors/node/stats/actor.ts"
import { nodeTree } from "#actors/node/tree.ts"
import { setFormerLogAside } from "#actors/raft/former-log.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { canOpen } from "#actors/raft/storage/inspect.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { settleBeginning } from "#actors/recovery/beginning.ts"
import { cannot } from "#actors/recovery/errors.ts"
import { answeringFor, serveIdle, serveLeftBehind, serveLocked } from "#cli/alone.ts"
import { beginInPlace } from "#cli/begin-anew.ts"
import { answerAsMember, openDoors } from "#cli/doors.ts"
import { copiesOf, driversOf } from "#cli/drivers.ts"
import { openFlightRecorder, showEvent } from "#cli/flight-recorder.ts"
import { afterFormerLives } from "#cli/former-self.ts"
import type { Identity } from "#cli/identity.ts"
import { announceAbsence, removeTasks, sayEnded, sayGoodbye, vanish } from "#cli/leave.ts"
import { hearOfRemoval, rememberLeftBehind, WentOnWithout } from "#cli/left-behind.ts"
import {
  beginAnew,
  type End,
  giveUpBeginning,
  type Lives,
  leaving,
  nextLife,
  tellAsked,
  waitsForOrders
} from "#cli/lives.ts"
import { bytesOf, openHeld } from "#cli/lock.ts"
import { shipLogs } from "#cli/log-shipping.ts"
import { lead, openManager } from "#cli/manager.ts"
import { becomeMember, placedAs } from "#cli/member.ts"
import { type NodeOptions, type RawNodeOptions, resolveNodeOptions } from "#cli/node-options.ts"
import { followManagers, followRole } from "#cli/role.ts"
import { announceRunning, engineOf, forgetRunning } from "#cli/running.ts"
import { alertsOf, familiesOf, otlpOf, outletOf } from "#cli/telemetry.ts"
import { connectWorker, type WorkerNats } from "#cli/worker-nats.ts"
import { whenWritable } from "#cli/writable.ts"
import { assert } from "#runtime/assert.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { compileLater, shrink } from "#runtime/platform.ts"
import { catchStrays } from "#runtime/strays.ts"
import { System } from "#runtime/system.ts"
import { startWatchdog } from "#runtime/watchdog.ts"

/** Runs a node until it is interrupted, or until it leaves its cluster. */
export const runNode = Effect.fnUntraced(function* (raw: RawNodeOptions) {
  const options = yield* resolveNodeOptions(raw, firstAddress())
  const lives: Lives = {
    left: yield* Deferred.make<void>(),
    asked: undefined,
    begins: false,
    problem: undefined,
    up: yield* Deferred.make<void>(),
    keyring: { unlockKey: undefined }
  }
  // A signal while it leaves must not cut the leaving short.
  const vanishIfLeft = Effect.flatMap(
    Effect.suspend(() => Deferred.isDone(lives.left)),
    (hasLeft) => (hasLeft ? vanish(options) : Effect.void)
  )
  const folders = Effect.try({
    try: () => {
      mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
      mkdirSync(options.runDir, { recursive: true, mode: 0o711 })
    },
    catch: (cause) => cause as Error
  })
  // Another role is another life: tasks go on, and the next life adopts them.
  const life = Effect.fnUntraced(function* (doors: EngineDoors) {
    yield* folders
    const end = yield* Effect.scoped(serve(options, doors, lives)).pipe(
      Effect.catch((error) => giveUpBeginning(options, lives, error))
    )
    // Nobody has the log open between two lives.
    if (end === "begin anew") yield* beginAnew(options, lives)
    if (end !== "over" || !waitsForOrders(options) || !(yield* Deferred.isDone(lives.left))) return end
    yield* vanish(options)
    lives.left = yield* Deferred.make<void>()
    return "another role"
  })
  const living = Effect.gen(function* () {
    yield* folders
    yield* whenWritable(options.dataDir)
    const doors = yield* openDoors(options)
    yield* Effect.addFinalizer(() => forgetRunning(options))
    yield* Effect.try(() => settleBeginning(options.dataDir))
    if (options.forceNewCluster) {
      if (!canOpen({ vfs: nodeVfs, cipher: nodeCipher, directory: options.dataDir }))
        return yield* cannot(
          "This manager's disk is locked: start it without --force-new-cluster, then docker swarm unlock and docker swarm init --force-new-cluster"
        )
      yield* beginInPlace(options.dataDir, Date.now())
    }
    yield* Effect.repeat(life(doors), { while: (end) => end !== "over" })
  })
  yield* Effect.scoped(living).pipe(Effect.ensuring(vanishIfLeft))
})

/** One life of this node, in the role that it holds when it begins. */
const serve = Effect.fnUntraced(function* (options: NodeOptions, doors: EngineDoors, lives: Lives) {
  if (waitsForOrders(options) && (yield* readHeld(options.dataDir)) === undefined)
    return yield* serveIdle(options, doors, lives)
  return yield* answeringFor(options, doors, lives, Effect.scoped(serveHeld(options, doors, lives)))
})

/** The life of a member, which it may have to become first. */
const serveHeld = Effect.fnUntraced(function* (options: NodeOptions, doors: EngineDoors, lives: Lives) {
  const held: Held = yield* becomeMember(options, Date.now())
  // What it had as a manager may be of another cluster, or not be the key any more when it is one again.
  if (held.membership.role === "worker") lives.keyring.unlockKey = undefined
  const opened = openHeld(options.dataDir, held, lives.keyring)
  if (opened === undefined) return yield* serveLocked(options, doors, held, lives)
  if (held.leftBehind !== undefined)
    return yield* serveLeftBehind(options, doors, held, held.leftBehind, lives)
  const credentials = yield* openCredentials(options.dataDir, opened)
  // The next life may be due before this one has come up: a manager may wait for others that it is no longer one of.
  const superseded = Effect.as(credentials.superseded, "another role" as End)
  const placed = placedAs(options, held)
  return yield* Effect.raceFirst(
    Effect.scoped(serveMember(placed, doors, credentials, lives)),
    superseded
  ).pipe(
    Effect.catchIf(
      (error) => error instanceof WentOnWithout,
      (verdict) =>
        Effect.as(rememberLeftBehind(options.dataDir, credentials.held(), verdict), "another role" as End)
    )
  )
})

/** A member's life: the actors, what answers at the doors, and what a manager has beside them. */
const serveMember = Effect.fnUntraced(function* (
  options: NodeOptions,
  doors: EngineDoors,
  credentials: CredentialsService,
  lives: Lives
) {
  const { role, nodeId, clusterId } = credentials.held().membership
  const identity: Identity = { nodeId, clusterId }
  const host = makeLiveHost((error) => console.error("a turn failed", error))

  const copies = copiesOf(options)
  const built = yield* Layer.build(driversOf(options, identity, copies))
  const plugins = Context.get(built, VolumePlugins)
  // A manager that begins the cluster anew ends a former life itself, and takes its node out of the ledger.
  const bare = Context.get(built, Executor)
  const executor = afterFormerLives(options, identity, bare, plugins)
  const drivers = Context.add(built, Executor, executor)
  const manager =
    role === "manager" ? yield* openManager(options, credentials, bare, host, lives.keyring) : undefined
  const worker = manager === undefined ? yield* openWorker(options, credentials) : undefined
  const member = manager ?? worker
  assert(member !== undefined, "a node is a manager or a worker")
  const { nats } = member
  const { transport } = nats

  const flight = yield* openFlightRecorder({
    ...identity,
    host,
    ledger: manager?.ledger,
    dataDir: options.dataDir,
    maxBytes: options.recorderBytes
  })
  const watchdog = yield* Effect.acquireRelease(
    Effect.sync(() =>
      options.stuckMs === undefined ? undefined : startWatchdog({ stuckMs: options.stuckMs })
    ),
    (started) => Effect.sync(() => started?.stop())
  )
  const changes =
    manager &&
    (yield* keepChanges({
      ledger: manager.ledger,
      dataDir: options.dataDir,
      unlockKey: () => bytesOf(lives.keyring.unlockKey)
    }))
  const history =
    manager &&
    (yield* keepHistory({
      cluster: clusterId,
      transport,
      ledger: manager.ledger.read,
      host
    }))

  const system = makeSystem({
    cluster: clusterId,
    nodeId,
    host,
    transport,
    report: (event) => console.error(showEvent(event, flight?.recorder)),
    lookout: watchdog,
    families: manager && (() => familiesOf(manager.ledger, history)),
    recorder: flight?.recorder,
    dump: flight?.dump,
    trace: {}
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => system.close()))
  yield* Effect.acquireRelease(
    Effect.sync(() => catchStrays(system.stray)),
    (release) => Effect.sync(release)
  )

  const memory = Context.get(drivers, LogMemory)
  const shipped = yield* shipLogs({ identity, transport, memory, copies, host })
  const tracer = yield* otlpOf(options, identity, () => system.families())
  const standings = yield* Queue.sliding<Standing>(1)
  const managersNews = yield* Queue.sliding<"managers">(1)
  const shared = Context.add(drivers, System, system).pipe(
    Context.add(Credentials, credentials),
    Context.add(StandingListener, (standing: Standing) => void Queue.offerUnsafe(standings, standing)),
    Context.add(ManagersListener, () => void Queue.offerUnsafe(managersNews, "managers")),
    Context.add(Reconnect, worker?.renew ?? nats.renew),
    Context.merge(shipped),
    Context.add(DiskFolder, options.dataDir),
    Context.add(FiguresOutlet, outletOf(transport, identity))
  )
  if (manager) {
    const alerted = { history, publish: alertsOf(transport, identity) }
    yield* lead(identity, manager.ledger, system, plugins).pipe(
      Effect.provideService(AlertSurroundings, alerted)
    )
  }
  const natsServer = manager?.nats.server
  const node = yield* system
    .run(
      nodeTree({
        ...identity,
        addr: options.advertiseAddr,
        ...(options.dataPathAddr !== undefined && { dataPath: options.dataPathAddr }),
        tlsEntrance: options.entranceTlsPorts.length > 0,
        name: options.name,
        certified: true,
        ...(natsServer && { nats: natsServer.status() })
      }),
      nodeId
    )
    .pipe(Effect.provideContext(natsServer ? Context.add(shared, NatsServer, natsServer) : shared))

  const parting = Effect.all(
    [
      sayGoodbye(system, nodeId, hasLeft),
      node.stop,
      Effect.provideContext(removeTasks, drivers),
      sayEnded(system, nodeId)
    ],
    { discard: true }
  ).pipe(Effect.orDie)
  const asked = yield* Deferred.make<End>()
  yield* Deferred.succeed(lives.up, undefined)
  yield* answerAsMember({
    options,
    doors,
    credentials,
    manager,
    history,
    changes,
    tracer,
    system,
    executor,
    leave: leaving(options, lives, parting),
    forceNewCluster: nextLife(lives, Deferred.succeed(asked, "begin anew"))
  })
  if (worker)
    yield* Effect.forkScoped(
      followManagers({ options, credentials, system }, worker.nats.setManagers, managersNews)
    )

  yield* announceRunning(options.dataDir, {
    pid: process.pid,
    nodeId,
    clusterId,
    socket: options.socket,
    http: doors.url ?? "",
    nats: nats.url,
    natsTls: nats.tls,
    ...engineOf(options)
  })
  yield* Effect.logInfo(
    `Node ${nodeId} of cluster ${clusterId} serves the Docker API at unix://${options.socket} and ${doors.url ?? "no TCP address"}, as a ${role}`
  )
  yield* tellAsked(lives, nodeId)
  yield* Effect.forkScoped(Effect.delay(settleDown(role), startedAfter))

  const over = Effect.as(Effect.raceFirst(node.ended, Deferred.await(lives.left)), "over" as End)
  const changed = Effect.as(followRole({ options, credentials, system }, standings), "another role" as End)
  const ended = Effect.raceFirst(Effect.raceFirst(over, changed), Deferred.await(asked)).pipe(
    Effect.ensuring(announceAbsence(system, nodeId, lives.left))
  )
  if (manager === undefined) return yield* Effect.raceFirst(ended, member.leftBehind)
  // Before anything else ends: who waits for a write here is answered by the next leader.
  return yield* Effect.raceFirst(ended, manager.leftBehind).pipe(
    Effect.ensuring(manager.ledger.group.handOver)
  )
})

/** A worker has no log; one that it kept as a manager must not begin again. */
const openWorker = Effect.fnUntraced(function* (options: NodeOptions, credentials: CredentialsService) {
  yield* Effect.try(() => setFormerLogAside(options.dataDir, undefined))
  let nats: WorkerNats | undefined
  let isUnheard = false
  const isCutOff = (): boolean => {
    const was = isUnheard || nats?.transport.isConnected() !== true
    isUnheard = false
    return was
  }
  const leftBehind = hearOfRemoval(credentials, isCutOff)
  const connected = yield* Effect.raceFirst(connectWorker(options, credentials), leftBehind)
  nats = connected
  const renew = (): void => {
    isUnheard = true
    connected.renew()
  }
  return { nats: connected, renew, leftBehind }
})

/** By then a node has found its Engine, its peers and its tasks. */
const startedAfter = "10 seconds"
/** A manager's writes want compiled code soon; a worker that is busy for long gets it all the same. */
const settleDown = (role: Certified["role"]) =>
  Effect.sync(() => {
    shrink()
    if (role === "manager") compileLater(1)
  })

/** The first address that is not loopback; what other nodes would reach this one by. */
function firstAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, internal, family } of addresses ?? []) {
      if (!internal && family === "IPv4") return address
    }
  }
  return "127.0.0.1"
}
