/**
 * The composition root: every part of a node is named here once, in the order in which they rely on each other.
 *
 *     identity → Engine → nats-server → transport → ledger → actors (leader, node) → gateway, NATS API
 *
 * Each part lives in the scope of the whole and is ended in the reverse order. Tasks go on when the daemon ends.
 */
import { mkdirSync, rmSync } from "node:fs"
import { networkInterfaces } from "node:os"
import process from "node:process"
import { Context, Deferred, Effect, Layer, Queue, type Tracer } from "effect"
import { AlertSurroundings, bodyOf } from "#actors/alerts/actor.ts"
import { alertSubject, type Notice } from "#actors/alerts/protocol.ts"
import { serveApi } from "#actors/api/serve.ts"
import { Credentials, type CredentialsService, openCredentials } from "#actors/authority/credentials.ts"
import { keepJoinPort } from "#actors/authority/join-port.ts"
import { newJoinToken } from "#actors/authority/join-token.ts"
import { newUnlockKey } from "#actors/authority/lock.ts"
import { joinAddress } from "#actors/authority/peers.ts"
import type { Membership as Certified } from "#actors/authority/protocol.ts"
import { reissueAtDoor } from "#actors/authority/reissue.ts"
import { type Held, type LeftBehind, readHeld } from "#actors/authority/store.ts"
import { welcome } from "#actors/authority/welcome.ts"
import { OpenConsoles } from "#actors/console/open-consoles.ts"
import { Connections, kernelConnections } from "#actors/drivers/connections.ts"
import { DataPlaneLive, stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import { type EngineAddress, parseEngineAddress } from "#actors/drivers/engine/address.ts"
import { EngineClient } from "#actors/drivers/engine/client.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { layer as entranceLayer, stopEntrance } from "#actors/drivers/entrance/live.ts"
import { Executor, type ExecutorService } from "#actors/drivers/executor.ts"
import { LiveKernel } from "#actors/drivers/kernel/live.ts"
import { Kernel } from "#actors/drivers/kernel.ts"
import { clusterLabel, nodeLabel } from "#actors/drivers/labels.ts"
import { isShuttingDown } from "#actors/drivers/machine/shutting-down.ts"
import { LiveNames } from "#actors/drivers/names/live.ts"
import { Names } from "#actors/drivers/names.ts"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"
import { secretPlugins } from "#actors/drivers/secret-providers/plugins.ts"
import { SecretProviders } from "#actors/drivers/secret-providers.ts"
import { RefusingSecretStore, removeRoot, TmpfsSecretStore } from "#actors/drivers/secret-store/tmpfs.ts"
import { csiPlugins } from "#actors/drivers/volume-plugins/csi.ts"
import { VolumePlugins, type VolumePluginsService } from "#actors/drivers/volume-plugins.ts"
import { makeApp } from "#actors/gateway/app.ts"
import type { Membership, MembershipControl, Whereabouts } from "#actors/gateway/gateway.ts"
import { openGateway } from "#actors/gateway/open.ts"
import { type HistoryKeeper, keepChanges } from "#actors/history/keeper.ts"
import { ledgerMetrics } from "#actors/ledger/metrics.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { keepCopies, LogCopies } from "#actors/logs/copies/keep.ts"
import { sendCopies } from "#actors/logs/copies/send.ts"
import { CopyStore } from "#actors/logs/copies/store.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { keepPublishing, PublishListener } from "#actors/logs/publish/publish.ts"
import { Publisher } from "#actors/logs/publish/publisher.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import { leadership } from "#actors/manager/leadership.ts"
import { clusterMetrics } from "#actors/meter/families.ts"
import { metricSubject, type NodeFigures } from "#actors/meter/figures.ts"
import type { History } from "#actors/meter/history.ts"
import { keepHistory } from "#actors/meter/keep.ts"
import { keepLoads } from "#actors/meter/loads.ts"
import { Refused, refuse } from "#actors/model/errors.ts"
import { NatsServer } from "#actors/nats/server.ts"
import type { FromNode } from "#actors/node/protocol.ts"
import { CopyListener, Reconnect, StandingListener } from "#actors/node/session/actor.ts"
import type { SessionMessage, Standing } from "#actors/node/session/protocol.ts"
import { DiskFolder, FiguresOutlet } from "#actors/node/stats/actor.ts"
import { nodeTree } from "#actors/node/tree.ts"
import { setFormerLogAside } from "#actors/raft/former-log.ts"
import { raftMetrics } from "#actors/raft/metrics.ts"
import { settleBeginning } from "#actors/recovery/beginning.ts"
import { beginInPlace } from "#cli/begin-anew.ts"
import { buildPages } from "#cli/dashboard/pages.ts"
import { openFlightRecorder, showEvent } from "#cli/flight-recorder.ts"
import { freshFromMachine } from "#cli/identity.ts"
import { idle } from "#cli/idle.ts"
import { removeTasks } from "#cli/leave.ts"
import { leftBehindText, rememberLeftBehind, WentOnWithout } from "#cli/left-behind.ts"
import { bytesOf, type Keyring, openHeld } from "#cli/lock.ts"
import { openManager } from "#cli/manager.ts"
import { type ManagerNats, raftIdOf } from "#cli/manager-nats.ts"
import { becomeMember } from "#cli/member.ts"
import { type NodeOptions, type RawNodeOptions, resolveNodeOptions } from "#cli/node-options.ts"
import { followManagers, followRole } from "#cli/role.ts"
import { announceRunning } from "#cli/running.ts"
import { connectWorker } from "#cli/worker-nats.ts"
import { address } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import type { Family } from "#runtime/openmetrics.ts"
import { compileLater, shrink } from "#runtime/platform.ts"
import { catchStrays } from "#runtime/strays.ts"
import { System } from "#runtime/system.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import type { TransportService } from "#runtime/transport.ts"
import { startWatchdog } from "#runtime/watchdog.ts"
import packageJson from "../package.json" with { type: "json" }

/** The first address that is not loopback; what other nodes would reach this one by. */
function firstAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, internal, family } of addresses ?? []) {
      if (!internal && family === "IPv4") return address
    }
  }
  return "127.0.0.1"
}

type Identity = Pick<Certified, "nodeId" | "clusterId">

/** Runs a node until it is interrupted, or until it leaves its cluster. */
export const runNode = Effect.fnUntraced(function* (raw: RawNodeOptions) {
  const options = yield* resolveNodeOptions(raw, firstAddress())
  const lives: Lives = {
    left: yield* Deferred.make<void>(),
    asked: undefined,
    begins: false,
    problem: undefined,
    keyring: { unlockKey: undefined }
  }
  // A signal while it leaves must not cut the leaving short.
  const vanishIfLeft = Effect.flatMap(
    Effect.suspend(() => Deferred.isDone(lives.left)),
    (hasLeft) => (hasLeft ? vanish(options) : Effect.void)
  )
  yield* Effect.try(() => settleBeginning(options.dataDir))
  if (options.forceNewCluster) yield* beginInPlace(options.dataDir, Date.now())
  // Another role is another life: tasks go on, and the next life adopts them.
  const life = Effect.gen(function* () {
    const end = yield* Effect.scoped(serve(options, lives)).pipe(
      Effect.catch((error) => giveUpBeginning(options, lives, error))
    )
    // Nobody has the log open between two lives.
    if (end === "begin anew") yield* beginAnew(options, lives)
    if (end !== "over" || !waitsForOrders(options) || !(yield* Deferred.isDone(lives.left))) return end
    yield* vanish(options)
    lives.left = yield* Deferred.make<void>()
    return "another role"
  })
  yield* Effect.repeat(life, { while: (end) => end !== "over" }).pipe(Effect.ensuring(vanishIfLeft))
})

/**
 * What outlives one life. `asked` is who waits for the next one to serve: for this node's id. `begins`: that is a
 * member's first, and holds nothing yet that could be lost.
 */
interface Lives {
  left: Deferred.Deferred<void>
  asked: Deferred.Deferred<string, Refused> | undefined
  begins: boolean
  /** Why that first life could not be. */
  problem: string | undefined
  readonly keyring: Keyring
}

/** It was given nothing to begin with: without a cluster, it waits for `docker swarm init` or `join`. */
const waitsForOrders = ({ role, join }: NodeOptions): boolean => role === undefined && join === undefined

/** Completes with this node's id when its next life serves, which `end` makes due. */
const nextLife = (lives: Lives, end: Effect.Effect<unknown>): Effect.Effect<string, Refused> =>
  Effect.gen(function* () {
    lives.asked ??= yield* Deferred.make<string, Refused>()
    yield* end
    return yield* Deferred.await(lives.asked)
  })

/** Whoever waits hears that this life serves, or why the one asked for does not. */
const tellAsked = Effect.fnUntraced(function* (lives: Lives, nodeId: string) {
  const { asked, problem } = lives
  lives.asked = undefined
  lives.begins = false
  lives.problem = undefined
  if (asked === undefined) return
  if (problem === undefined) yield* Deferred.succeed(asked, nodeId)
  else yield* Deferred.fail(asked, Refused.of(refuse("unknown", problem)))
})

/** A member's first life that fails before it serves was asked for in vain: the node is without a cluster again. */
const giveUpBeginning = <E extends { readonly message: string }>(
  options: NodeOptions,
  lives: Lives,
  error: E
): Effect.Effect<End, E | Error> =>
  Effect.gen(function* () {
    if (!lives.begins) return yield* Effect.fail(error)
    lives.begins = false
    lives.problem = error.message
    yield* Effect.logError(error.message)
    yield* vanish(options)
    return "another role" as const
  })

/** Whoever asked hears why it cannot be; then the next life goes on as before. */
const beginAnew = ({ dataDir }: NodeOptions, lives: Lives) =>
  beginInPlace(dataDir, Date.now(), undefined, bytesOf(lives.keyring.unlockKey)).pipe(
    Effect.catch(({ message }) => {
      const { asked } = lives
      lives.asked = undefined
      const refusal = refuse("failedPrecondition", `cannot begin the cluster anew: ${message}`)
      return asked === undefined ? Effect.logError(message) : Deferred.fail(asked, Refused.of(refusal))
    })
  )

/** What a node that left its cluster does last: nothing of it is to be found again. */
const vanish = Effect.fnUntraced(function* (options: NodeOptions) {
  yield* stopDataPlane(options)
  yield* stopEntrance(options)
  yield* removeRoot(secretsRoot(options))
  for (const folder of [options.dataDir, options.runDir]) rmSync(folder, { recursive: true, force: true })
})

type End = "over" | "another role" | "begin anew"

/** One life of this node, in the role that it holds when it begins. */
const serve = Effect.fnUntraced(function* (options: NodeOptions, lives: Lives) {
  if (waitsForOrders(options) && (yield* readHeld(options.dataDir)) === undefined)
    return yield* serveIdle(options, lives)
  const held: Held = yield* becomeMember(options, Date.now())
  // What it had as a manager may be of another cluster, or not be the key any more when it is one again.
  if (held.membership.role === "worker") lives.keyring.unlockKey = undefined
  const opened = openHeld(options.dataDir, held, lives.keyring)
  if (opened === undefined) return yield* serveLocked(options, held, lives)
  if (held.leftBehind !== undefined) return yield* serveLeftBehind(options, held, held.leftBehind, lives)
  const credentials = yield* openCredentials(options.dataDir, opened)
  // The next life may be due before this one has come up: a manager may wait for others that it is no longer one of.
  const superseded = Effect.as(credentials.superseded, "another role" as End)
  const dataPathAddr = options.dataPathAddr ?? held.place?.dataPathAddr
  const placed = { ...options, ...(options.isPlaced ? {} : held.place), dataPathAddr }
  return yield* Effect.raceFirst(Effect.scoped(serveMember(placed, credentials, lives)), superseded).pipe(
    Effect.catchIf(
      (error) => error instanceof WentOnWithout,
      (verdict) =>
        Effect.as(rememberLeftBehind(options.dataDir, credentials.held(), verdict), "another role" as End)
    )
  )
})

const nobody: Identity = { nodeId: "", clusterId: "" }

/** What tells apart the lives in which a node takes part in no cluster. */
interface Alone {
  readonly membership: () => Membership
  readonly problem?: string
  readonly root: () => string
  readonly executor: Pick<ExecutorService, "ensureNetwork">
  readonly control: Partial<MembershipControl>
  /** What people are told once it answers. */
  readonly said: Effect.Effect<void>
}

/** Answers on the node's socket without a ledger and with nobody to speak to, until it leaves or `ends`. */
const serveAlone = Effect.fnUntraced(function* (
  options: NodeOptions,
  identity: Identity,
  lives: Lives,
  ends: Deferred.Deferred<End>,
  { root, said, ...alone }: Alone
) {
  const host = makeLiveHost((error) => console.error("a turn failed", error))
  const { nodeId, clusterId } = identity
  // A subject has a word in each of its places, also where nobody will ever hear it.
  const [node, cluster] = [nodeId || "idle", clusterId || "none"]
  const doors = yield* openGateway({
    ...sharedOf(identity, root),
    ...doorsOf(options),
    engine: yield* engineAddress(options),
    ledger: () => undefined,
    system: makeSystem({ cluster, nodeId: node, host, transport: new MemoryBus(host).connect(node) }),
    ...alone
  })
  const { dataDir, socket } = options
  const running = { pid: process.pid, nodeId, clusterId, socket, http: doors.url ?? "", nats: "" }
  yield* announceRunning(dataDir, running)
  yield* said
  yield* tellAsked(lives, nodeId)
  const over = Effect.as(Deferred.await(lives.left), "over" as End)
  return yield* Effect.raceFirst(over, Deferred.await(ends))
})

/** What a node without a cluster does: it answers for its Engine, and waits to be told what to become. */
const serveIdle = Effect.fnUntraced(function* (options: NodeOptions, lives: Lives) {
  lives.keyring.unlockKey = undefined
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })
  const ends = yield* Deferred.make<End>()
  const begin = Effect.suspend(() => {
    lives.begins = true
    return Deferred.succeed(ends, "another role")
  })
  const { control, isBeginning } = idle(options, nextLife(lives, begin))
  return yield* serveAlone(options, nobody, lives, ends, {
    membership: () => (isBeginning() ? "pending" : "inactive"),
    root: () => "",
    executor: { ensureNetwork: () => Effect.die("no cluster, no network of it") },
    control,
    said: Effect.logInfo(
      `This node is in no cluster: it waits for docker swarm init or join at unix://${options.socket}`
    )
  })
})

/** A member that takes no part: it can be asked, and told to leave with all that it runs. */
const serveAside = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  lives: Lives,
  ends: Deferred.Deferred<End>,
  life: Pick<Alone, "membership" | "problem" | "control" | "said">
) {
  const identity: Identity = held.membership
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })
  const drivers = yield* Layer.build(driversOf(options, identity))
  const executor = Context.get(drivers, Executor)
  const leave = () => leaving(options, lives, Effect.orDie(removeTasks(executor, networkOf(drivers))))
  return yield* serveAlone(options, identity, lives, ends, {
    ...life,
    root: () => held.membership.root,
    executor,
    control: { ...life.control, leave }
  })
})

/** What a manager does whose disk people have locked: its tasks go on, and it waits for the key. */
const serveLocked = Effect.fnUntraced(function* (options: NodeOptions, held: Held, lives: Lives) {
  const ends = yield* Deferred.make<End>()
  const unlock = (unlockKey: string) =>
    Effect.gen(function* () {
      if (openHeld(options.dataDir, held, { unlockKey }) === undefined)
        return yield* Refused.of(
          refuse("unauthenticated", "swarm could not be unlocked: invalid key provided")
        )
      lives.keyring.unlockKey = unlockKey
      yield* nextLife(lives, Deferred.succeed(ends, "another role"))
    })
  return yield* serveAside(options, held, lives, ends, {
    membership: () => "locked",
    control: { unlock },
    said: Effect.logWarning(
      `This manager's disk is locked: it waits for docker swarm unlock at unix://${options.socket}`
    )
  })
})

/** What a member does that was left behind: says so, and leaves when it is told to. */
const serveLeftBehind = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  leftBehind: LeftBehind,
  lives: Lives
) {
  const problem = leftBehindText(leftBehind)
  const ends = yield* Deferred.make<End>()
  const forceNewCluster = nextLife(lives, Deferred.succeed(ends, "begin anew"))
  return yield* serveAside(options, held, lives, ends, {
    membership: () => "error",
    problem,
    control: { forceNewCluster },
    said: Effect.logError(problem)
  })
})

/** Leaves the cluster after `parting`; a node that then waits for orders is waited for. */
const leaving = (options: NodeOptions, lives: Lives, parting: Effect.Effect<void>) =>
  Effect.gen(function* () {
    yield* parting
    const end = Effect.suspend(() => Deferred.succeed(lives.left, undefined))
    yield* waitsForOrders(options) ? nextLife(lives, end) : end
  })

/** What a node that leaves waits for its leader to be told. */
const goodbyeMs = 500
const weekMs = 7 * 86_400_000
/** By then a node has found its Engine, its peers and its tasks. */
const startedAfter = "10 seconds"
/** A manager's writes want compiled code soon; a worker that is busy for long gets it all the same. */
const settleDown = (role: Certified["role"]) =>
  Effect.sync(() => {
    shrink()
    if (role === "manager") compileLater(1)
  })
/** What a process that ended in order has to be begun again before its tasks are replaced. */
const awayMs = 15_000

/** A member's life: the actors, the doors, and what a manager has beside them. */
const serveMember = Effect.fnUntraced(function* (
  options: NodeOptions,
  credentials: CredentialsService,
  lives: Lives
) {
  const held = credentials.held()
  const host = makeLiveHost((error) => console.error("a turn failed", error))
  const { role } = held.membership
  const identity: Identity = held.membership
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })

  const copies = copiesOf(options)
  const drivers = yield* Layer.build(driversOf(options, identity, copies))
  const executor = Context.get(drivers, Executor)
  const manager =
    role === "manager" ? yield* openManager(options, credentials, executor, host, lives.keyring) : undefined
  const worker = manager === undefined ? yield* openWorker(options, credentials) : undefined
  const nats = manager?.nats ?? worker?.nats
  assert(nats !== undefined, "a node is a manager or a worker")

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
      cluster: identity.clusterId,
      transport: nats.transport,
      ledger: manager.ledger.read,
      host
    }))
  const system = makeSystem({
    cluster: identity.clusterId,
    nodeId: identity.nodeId,
    host,
    transport: nats.transport,
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
  const { transport } = nats
  if (copies) yield* keepCopies({ ...placeOf(identity), transport, store: copies, host })
  let holder: string | undefined
  yield* Effect.forkScoped(
    sendCopies({
      ...placeOf(identity),
      transport,
      memory: Context.get(drivers, LogMemory),
      holder: () => holder
    })
  )
  const publisher = new Publisher({
    ...placeOf(identity),
    epoch: freshFromMachine().id(),
    transport,
    memory: Context.get(drivers, LogMemory)
  })
  yield* Effect.forkScoped(keepPublishing(publisher, Context.get(drivers, LogMemory)))
  const tracer = yield* otlpOf(options, identity, () => system.families())
  const standings = yield* Queue.sliding<Standing>(1)
  const shared = Context.add(drivers, System, system).pipe(
    Context.add(Credentials, credentials),
    Context.add(StandingListener, (standing: Standing) => void Queue.offerUnsafe(standings, standing)),
    Context.add(Reconnect, nats.renew),
    Context.add(CopyListener, (node: string | undefined) => {
      holder = node
    }),
    Context.add(PublishListener, (tasks: ReadonlyArray<string>) => publisher.want(tasks, host.now())),
    Context.add(DiskFolder, options.dataDir),
    Context.add(FiguresOutlet, outletOf(nats.transport, identity))
  )
  if (manager) {
    const alerted = { history, publish: alertsOf(nats.transport, identity) }
    yield* lead(identity, manager.ledger, system, Context.get(drivers, VolumePlugins)).pipe(
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
      identity.nodeId
    )
    .pipe(Effect.provideContext(natsServer ? Context.add(shared, NatsServer, natsServer) : shared))

  const parting = Effect.all(
    [
      sayGoodbye(system, identity.nodeId, "node left the swarm"),
      node.stop,
      removeTasks(executor, networkOf(drivers))
    ],
    { discard: true }
  ).pipe(Effect.orDie)
  const asked = yield* Deferred.make<End>()
  const doors = yield* openDoors({
    options,
    identity,
    // A token names what the cluster is known by, which this node may be about to hear.
    root: () => manager?.ledger.read.cluster()?.Roots?.ca.certificate ?? credentials.held().membership.root,
    manager,
    history,
    changes,
    tracer,
    system,
    executor,
    whereabouts: () => whereaboutsOf(options, credentials.held()),
    leave: leaving(options, lives, parting),
    forceNewCluster: nextLife(lives, Deferred.succeed(asked, "begin anew"))
  })
  if (manager) {
    const { ledger, incarnation } = manager
    const identityNow = () => {
      const { membership, key } = credentials.held()
      return { ...membership, key }
    }
    const clock = (): number => host.now()
    yield* keepJoinPort(
      {
        host: options.listenAddr,
        port: held.ports.join,
        identity: identityNow,
        welcome: welcome({ ledger, fresh: freshFromMachine(), clock }),
        reissue: reissueAtDoor(ledger, clock),
        standing: () => ({
          clusterId: identity.clusterId,
          raftId: raftIdOf(held),
          incarnation,
          routes: credentials.held().membership.routes ?? 1
        })
      },
      credentials
    )
  }
  if (worker)
    yield* Effect.forkScoped(followManagers({ options, credentials, system }, worker.nats.setManagers))
  yield* announceRunning(options.dataDir, {
    pid: process.pid,
    nodeId: identity.nodeId,
    clusterId: identity.clusterId,
    socket: options.socket,
    http: doors.url ?? "",
    nats: nats.url,
    natsTls: nats.tls
  })
  yield* Effect.logInfo(
    `Node ${identity.nodeId} of cluster ${identity.clusterId} serves the Docker API at unix://${options.socket} and ${doors.url ?? "no TCP address"}, as a ${role}`
  )
  yield* tellAsked(lives, identity.nodeId)
  yield* Effect.forkScoped(Effect.delay(settleDown(role), startedAfter))
  const over = Effect.as(Effect.raceFirst(node.ended, Deferred.await(lives.left)), "over" as End)
  const changed = Effect.as(followRole({ options, credentials, system }, standings), "another role" as End)
  const ended = Effect.raceFirst(Effect.raceFirst(over, changed), Deferred.await(asked)).pipe(
    Effect.ensuring(announceAbsence(lives, system, identity.nodeId))
  )
  if (manager === undefined) return yield* ended
  // Before anything else ends: who waits for a write here is answered by the next leader.
  return yield* Effect.raceFirst(ended, manager.leftBehind).pipe(
    Effect.ensuring(manager.ledger.group.handOver)
  )
})

/** The leader need not find out by silence that nothing runs here any more. */
const sayGoodbye = (system: System["Service"], nodeId: string, reason: string) =>
  Effect.ignore(
    system.ask(
      address(nodeId, "session", "main"),
      { _tag: "Leave", reason } satisfies SessionMessage,
      goodbyeMs
    )
  )

/** A process that is begun again leaves its tasks where they are; a machine that shuts down has them moved at once. */
const announceAbsence = Effect.fnUntraced(function* (
  lives: Lives,
  system: System["Service"],
  nodeId: string
) {
  if (yield* Deferred.isDone(lives.left)) return
  if (yield* isShuttingDown) return yield* sayGoodbye(system, nodeId, "the machine is shutting down")
  const message = { _tag: "Away", forMs: awayMs } satisfies FromNode
  yield* Effect.ignore(system.ask(address("leader", "node", nodeId), message, goodbyeMs))
})

/** A worker has no log; one that it kept as a manager must not begin again. */
const openWorker = Effect.fnUntraced(function* (options: NodeOptions, credentials: CredentialsService) {
  yield* Effect.try(() => setFormerLogAside(options.dataDir, undefined))
  return { nats: yield* connectWorker(options, credentials) }
})

/** Answers for the home of managers, and for the leader's whenever it leads. */
const lead = Effect.fnUntraced(function* (
  identity: Identity,
  ledger: LedgerService,
  system: System["Service"],
  plugins: VolumePluginsService
) {
  yield* Effect.acquireRelease(
    Effect.sync(() => system.claim("manager")),
    (claim) => Effect.sync(() => claim.release())
  )
  yield* leadership(identity).pipe(
    Effect.provideService(Ledger, ledger),
    Effect.provideService(System, system),
    Effect.provideService(SecretProviders, secretPlugins()),
    Effect.provideService(VolumePlugins, plugins),
    Effect.forkScoped
  )
})

const secretsRoot = ({ runDir }: NodeOptions): string => `${runDir}/tasks`

/** What a manager tells monitoring beside its actors. */
function familiesOf(ledger: LedgerService, history: History | undefined): ReadonlyArray<Family> {
  const figures = ledger.figures?.()
  const leads = ledger.leadership()._tag === "Leading"
  return [
    ...ledgerMetrics(ledger),
    ...(figures === undefined ? [] : raftMetrics(figures)),
    ...(leads && history !== undefined ? clusterMetrics(ledger.read, history, Date.now()) : [])
  ]
}

/** Who does not hear of an alert asks for those that are, so nothing is lost while NATS is away. */
const alertsOf = (transport: TransportService, { clusterId }: Identity) => {
  const encoder = new TextEncoder()
  return (notice: Notice): void => {
    const body = encoder.encode(JSON.stringify({ ...bodyOf(notice), cluster: clusterId }))
    try {
      transport.publish(alertSubject(clusterId, notice.condition, notice.id), {}, body)
    } catch {
      return
    }
  }
}

/** What a node says it uses. While NATS is away nobody hears it, and the next second says it anew. */
const outletOf = (transport: TransportService, { clusterId, nodeId }: Identity) => {
  const subject = metricSubject(clusterId, nodeId)
  const encoder = new TextEncoder()
  return (figures: NodeFigures): void => {
    try {
      transport.publish(subject, {}, encoder.encode(JSON.stringify(figures)))
    } catch {
      return
    }
  }
}

/** Where a collector is configured: figures and spans go there from now on. */
const otlpOf = Effect.fnUntraced(function* (
  { otlpEndpoint: endpoint, name }: NodeOptions,
  { clusterId, nodeId }: Identity,
  families: () => ReadonlyArray<Family>
) {
  if (endpoint === undefined) return undefined
  const { exportOtlp } = yield* Effect.promise(() => import("#runtime/otlp.ts"))
  return yield* exportOtlp({
    endpoint,
    serviceName: "troupe",
    serviceVersion: packageJson.version,
    attributes: { "service.instance.id": nodeId, "service.namespace": clusterId, "host.name": name },
    families,
    now: Date.now
  })
})

const placeOf = ({ clusterId, nodeId }: Identity) => ({ cluster: clusterId, nodeId })

/** Where copies of other nodes' logs are kept; `undefined` where none are. */
const copiesOf = ({ dataDir, logCopiesBytes: maxBytes, logMemory }: NodeOptions): CopyStore | undefined =>
  maxBytes === 0
    ? undefined
    : new CopyStore({ folder: `${dataDir}/log-copies`, maxBytes, maxAgeMs: logMemory?.maxAgeMs ?? weekMs })

const driversOf = (options: NodeOptions, identity: Identity, copies?: CopyStore) => {
  const isLocal = options.dockerHost.startsWith("unix://")
  const own = { [clusterLabel]: identity.clusterId, [nodeLabel]: identity.nodeId }
  const executor =
    options.executor === "docker"
      ? DockerExecutor.layer({ dockerHost: options.dockerHost, own })
      : ProcessExecutor.layer({ folder: `${options.dataDir}/processes` })
  const secrets =
    options.executor === "process" || isLocal
      ? TmpfsSecretStore.layer({ root: secretsRoot(options) })
      : RefusingSecretStore.layer(
          `The Engine at ${options.dockerHost} is another machine: secrets are kept in this machine's memory only`
        )
  const memory =
    options.logMemory === undefined
      ? LogMemory.none
      : LogMemory.layer({ folder: `${options.dataDir}/logs`, ...options.logMemory })
  const readers = LogReaders.layer.pipe(
    Layer.provide(Layer.succeed(LogCopies, copies)),
    Layer.provideMerge(memory),
    Layer.provideMerge(executor)
  )
  const kernel =
    options.executor === "docker"
      ? LiveKernel.layer({
          nodeId: identity.nodeId,
          dockerHost: options.dockerHost,
          dataDir: options.dataDir,
          controlPorts: controlPortsOf(options)
        })
      : Layer.empty
  const names =
    options.executor === "docker"
      ? LiveNames.layer({ nodeId: identity.nodeId, dockerHost: options.dockerHost })
      : Layer.empty
  const dataPlane = names.pipe(Layer.provideMerge(DataPlaneLive.layer(options)))
  const connections =
    options.executor === "docker" ? Layer.succeed(Connections, kernelConnections) : Layer.empty
  const entrance =
    options.entrancePorts.length + options.entranceTlsPorts.length === 0
      ? Layer.empty
      : entranceLayer({ ...options, ports: options.entrancePorts, tlsPorts: options.entranceTlsPorts })
  const traffic = Layer.mergeAll(kernel, dataPlane, connections, entrance)
  const consoles = OpenConsoles.layer.pipe(Layer.provide(executor))
  return Layer.mergeAll(readers, consoles, secrets, traffic, volumePlugins(options, isLocal))
}

/** What a plugin mounts here an Engine of another machine does not see. */
const volumePlugins = (options: NodeOptions, isLocal: boolean) => {
  const places = { sockets: options.csiPlugins, mounts: `${options.runDir}/volumes` }
  if (options.executor === "process") return Layer.succeed(VolumePlugins, csiPlugins(places))
  if (!isLocal) return Layer.empty
  const { dockerHost } = options
  return Layer.effect(
    VolumePlugins,
    EngineClient.pipe(Effect.map((engine) => csiPlugins({ ...places, engine })))
  ).pipe(Layer.provide(EngineClient.layer({ dockerHost })))
}

/** Those that are known ahead: 0 stands for any. */
const controlPortsOf = ({ joinPort, natsPort, routePort, http }: NodeOptions): ReadonlyArray<number> =>
  [joinPort, natsPort, routePort, Number(/:(\d+)$/.exec(http)?.[1] ?? 0)].filter((port) => port > 0)

const networkOf = (drivers: Context.Context<never>) => ({
  kernel: Context.get(drivers, Kernel),
  names: Context.get(drivers, Names)
})

interface Parts {
  readonly options: NodeOptions
  readonly identity: Identity
  /** The cluster's root certificate as it is now, PEM. */
  readonly root: () => string
  /** Absent on a worker. */
  readonly manager: { readonly ledger: LedgerService; readonly nats: ManagerNats } | undefined
  readonly history: History | undefined
  readonly changes: HistoryKeeper | undefined
  readonly tracer: Tracer.Tracer | undefined
  readonly system: System["Service"]
  readonly executor: ExecutorService
  readonly whereabouts: () => Whereabouts
  readonly leave: Effect.Effect<void, Refused>
  readonly forceNewCluster: Effect.Effect<string, Refused>
}

const doorsOf = ({ socket, http, dataDir }: NodeOptions) => ({
  socket,
  http,
  dataDir,
  pages: buildPages,
  stacks: async () => (await import("#cli/dashboard/stacks.ts")).stacks,
  version: packageJson.version
})

const whereaboutsOf = ({ advertiseAddr }: NodeOptions, { membership }: Held): Whereabouts => ({
  address: advertiseAddr,
  managers: membership.managers.map(({ nodeId, address, ports }) => ({
    nodeId,
    joinAddress: joinAddress(address, ports)
  }))
})

const sharedOf = ({ nodeId }: Identity, root: () => string) => ({
  nodeId,
  clock: Date.now,
  fresh: freshFromMachine(),
  newToken: () => newJoinToken(root()),
  newUnlockKey,
  onDefect: (defect: unknown, request: Request) => console.error(`${request.method} ${request.url}`, defect)
})

/** The Engine API on the socket and over TCP, and the NATS API beside it. */
const openDoors = Effect.fnUntraced(function* (parts: Parts) {
  const { options, identity, root, manager, system, executor } = parts
  const { nodeId, clusterId } = identity
  const shared = sharedOf(identity, root)
  const traced = parts.tracer === undefined ? {} : { tracer: parts.tracer }
  const doors = yield* openGateway({
    ...shared,
    ...doorsOf(options),
    engine: yield* engineAddress(options),
    executor,
    ledger: () => manager?.ledger,
    history: () => parts.history,
    changes: () => parts.changes,
    ...traced,
    membership: () => (manager ? "active/manager" : "active/worker"),
    whereabouts: parts.whereabouts,
    system,
    control: { leave: () => parts.leave, ...(manager && { forceNewCluster: parts.forceNewCluster }) }
  })
  if (manager === undefined) return doors
  const { ledger, nats } = manager
  yield* keepLoads({ transport: nats.api, ledger, system, host: makeLiveHost() })
  const app = makeApp({
    ...shared,
    ledger,
    run: Effect.runPromise,
    engine: doors.link,
    who: () => "nats",
    ...traced
  })
  yield* serveApi({
    transport: nats.api,
    ledger,
    cluster: clusterId,
    nodeId,
    version: packageJson.version,
    fetch: (request) =>
      doors.history.owns(request.method, new URL(request.url).pathname)
        ? doors.history.fetch(request)
        : app.fetch(request),
    host: makeLiveHost()
  })
  return doors
})

const engineAddress = (options: NodeOptions): Effect.Effect<EngineAddress | undefined, Error> => {
  if (options.executor === "process") return Effect.succeed(undefined)
  const address = parseEngineAddress(options.dockerHost)
  return address instanceof Error ? Effect.fail(address) : Effect.succeed(address)
}
