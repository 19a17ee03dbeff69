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
import { Context, Deferred, Effect, Layer, Queue } from "effect"
import { serveApi } from "#actors/api/serve.ts"
import { Credentials, type CredentialsService, openCredentials } from "#actors/authority/credentials.ts"
import { keepJoinPort } from "#actors/authority/join-port.ts"
import { newJoinToken } from "#actors/authority/join-token.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import { reissueAtDoor } from "#actors/authority/reissue.ts"
import type { Held, LeftBehind } from "#actors/authority/store.ts"
import { welcome } from "#actors/authority/welcome.ts"
import { DataPlaneLive, stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import { type EngineAddress, parseEngineAddress } from "#actors/drivers/engine/address.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { Executor, type ExecutorService } from "#actors/drivers/executor.ts"
import { clusterLabel, nodeLabel } from "#actors/drivers/labels.ts"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"
import { RefusingSecretStore, removeRoot, TmpfsSecretStore } from "#actors/drivers/secret-store/tmpfs.ts"
import { makeApp } from "#actors/gateway/app.ts"
import { openGateway } from "#actors/gateway/open.ts"
import { ledgerMetrics } from "#actors/ledger/metrics.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import { leadership } from "#actors/manager/leadership.ts"
import { Refused, refuse } from "#actors/model/errors.ts"
import { NatsServer } from "#actors/nats/server.ts"
import { StandingListener } from "#actors/node/session/actor.ts"
import type { Standing } from "#actors/node/session/protocol.ts"
import { nodeTree } from "#actors/node/tree.ts"
import { setFormerLogAside } from "#actors/raft/former-log.ts"
import { raftMetrics } from "#actors/raft/metrics.ts"
import { settleBeginning } from "#actors/recovery/beginning.ts"
import { beginInPlace } from "#cli/begin-anew.ts"
import { openFlightRecorder, showEvent } from "#cli/flight-recorder.ts"
import { freshFromMachine } from "#cli/identity.ts"
import { removeTasks } from "#cli/leave.ts"
import { leftBehindText, rememberLeftBehind, WentOnWithout } from "#cli/left-behind.ts"
import { openManager } from "#cli/manager.ts"
import { type ManagerNats, raftIdOf } from "#cli/manager-nats.ts"
import { becomeMember } from "#cli/member.ts"
import { type NodeOptions, type RawNodeOptions, resolveNodeOptions } from "#cli/node-options.ts"
import { followManagers, followRole } from "#cli/role.ts"
import { announceRunning } from "#cli/running.ts"
import { connectWorker } from "#cli/worker-nats.ts"
import { assert } from "#runtime/assert.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import type { Family } from "#runtime/openmetrics.ts"
import { catchStrays } from "#runtime/strays.ts"
import { System } from "#runtime/system.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
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

type Identity = Pick<Membership, "nodeId" | "clusterId">

/** Runs a node until it is interrupted, or until it leaves its cluster. */
export const runNode = Effect.fnUntraced(function* (raw: RawNodeOptions) {
  const options = yield* resolveNodeOptions(raw, firstAddress())
  const lives: Lives = { left: yield* Deferred.make<void>(), forced: undefined }
  // A signal while it leaves must not cut the leaving short.
  const vanishIfLeft = Effect.flatMap(Deferred.isDone(lives.left), (hasLeft) =>
    hasLeft ? vanish(options) : Effect.void
  )
  yield* Effect.try(() => settleBeginning(options.dataDir))
  if (options.forceNewCluster) yield* beginInPlace(options.dataDir, Date.now())
  // Another role is another life: tasks go on, and the next life adopts them.
  const life = Effect.gen(function* () {
    const end = yield* Effect.scoped(serve(options, lives))
    // Nobody has the log open between two lives.
    if (end === "begin anew") yield* beginAnew(options, lives)
    return end
  })
  yield* Effect.repeat(life, { while: (end) => end !== "over" }).pipe(Effect.ensuring(vanishIfLeft))
})

/** What outlives one life. `forced` is who waits for the cluster to be begun anew: for this node's id. */
interface Lives {
  readonly left: Deferred.Deferred<void>
  forced: Deferred.Deferred<string, Refused> | undefined
}

/** Whoever asked hears why it cannot be; then the next life goes on as before. */
const beginAnew = ({ dataDir }: NodeOptions, lives: Lives) =>
  beginInPlace(dataDir, Date.now()).pipe(
    Effect.catch(({ message }) => {
      const asked = lives.forced
      lives.forced = undefined
      const refusal = refuse("failedPrecondition", `cannot begin the cluster anew: ${message}`)
      return asked === undefined ? Effect.logError(message) : Deferred.fail(asked, Refused.of(refusal))
    })
  )

/** What a node that left its cluster does last: nothing of it is to be found again. */
const vanish = Effect.fnUntraced(function* (options: NodeOptions) {
  yield* stopDataPlane(options)
  yield* removeRoot(secretsRoot(options))
  for (const folder of [options.dataDir, options.runDir]) rmSync(folder, { recursive: true, force: true })
})

type End = "over" | "another role" | "begin anew"

/** One life of this node, in the role that it holds when it begins. */
const serve = Effect.fnUntraced(function* (options: NodeOptions, lives: Lives) {
  const held: Held = yield* becomeMember(options, Date.now())
  if (held.leftBehind !== undefined) return yield* serveLeftBehind(options, held, held.leftBehind, lives)
  const credentials = yield* openCredentials(options.dataDir, held)
  // The next life may be due before this one has come up: a manager may wait for others that it is no longer one of.
  const superseded = Effect.as(credentials.superseded, "another role" as End)
  return yield* Effect.raceFirst(Effect.scoped(serveMember(options, credentials, lives)), superseded).pipe(
    Effect.catchIf(
      (error) => error instanceof WentOnWithout,
      (verdict) =>
        Effect.as(rememberLeftBehind(options.dataDir, credentials.held(), verdict), "another role" as End)
    )
  )
})

/** What a member does that was left behind: says so, and leaves when it is told to. */
const serveLeftBehind = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  leftBehind: LeftBehind,
  lives: Lives
) {
  const problem = leftBehindText(leftBehind)
  yield* Effect.logError(problem)
  const host = makeLiveHost((error) => console.error("a turn failed", error))
  const identity: Identity = held.membership
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })
  const executor = Context.get(yield* Layer.build(driversOf(options, identity)), Executor)
  const asked = yield* Deferred.make<End>()
  const doors = yield* openGateway({
    ...sharedOf(identity, () => held.membership.root),
    ...doorsOf(options),
    engine: yield* engineAddress(options),
    executor,
    ledger: () => undefined,
    membership: () => "error",
    problem,
    system: makeSystem({
      cluster: identity.clusterId,
      nodeId: identity.nodeId,
      host,
      // It has nobody to speak to.
      transport: new MemoryBus(host).connect(identity.nodeId)
    }),
    control: {
      leave: () =>
        Effect.andThen(Effect.orDie(removeTasks(executor)), Deferred.succeed(lives.left, undefined)),
      forceNewCluster: forceNewCluster(lives, asked)
    }
  })
  yield* announceRunning(options.dataDir, {
    pid: process.pid,
    nodeId: identity.nodeId,
    clusterId: identity.clusterId,
    socket: options.socket,
    http: doors.url ?? "",
    nats: ""
  })
  const over = Effect.as(Deferred.await(lives.left), "over" as End)
  return yield* Effect.raceFirst(over, Deferred.await(asked))
})

/** Ends this life for one in which the cluster has begun anew; who asks waits for that one. */
const forceNewCluster = (lives: Lives, ends: Deferred.Deferred<End>): Effect.Effect<string, Refused> =>
  Effect.gen(function* () {
    lives.forced ??= yield* Deferred.make<string, Refused>()
    yield* Deferred.succeed(ends, "begin anew")
    return yield* Deferred.await(lives.forced)
  })

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

  const drivers = yield* Layer.build(driversOf(options, identity))
  const executor = Context.get(drivers, Executor)
  const manager = role === "manager" ? yield* openManager(options, credentials, executor, host) : undefined
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
  const system = makeSystem({
    cluster: identity.clusterId,
    nodeId: identity.nodeId,
    host,
    transport: nats.transport,
    report: (event) => console.error(showEvent(event, flight?.recorder)),
    lookout: watchdog,
    families: manager && (() => familiesOf(manager.ledger)),
    recorder: flight?.recorder,
    dump: flight?.dump,
    trace: {}
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => system.close()))
  yield* Effect.acquireRelease(
    Effect.sync(() => catchStrays(system.stray)),
    (release) => Effect.sync(release)
  )
  const standings = yield* Queue.sliding<Standing>(1)
  const shared = Context.add(drivers, System, system).pipe(
    Context.add(Credentials, credentials),
    Context.add(StandingListener, (standing: Standing) => void Queue.offerUnsafe(standings, standing))
  )
  if (manager) yield* lead(identity, manager.ledger, system)
  const natsServer = manager?.nats.server
  const node = yield* system
    .run(
      nodeTree({
        ...identity,
        addr: options.advertiseAddr,
        name: options.name,
        certified: true,
        ...(natsServer && { nats: natsServer.status() })
      }),
      identity.nodeId
    )
    .pipe(Effect.provideContext(natsServer ? Context.add(shared, NatsServer, natsServer) : shared))

  const leave = Effect.gen(function* () {
    yield* node.stop
    yield* removeTasks(executor)
    yield* Deferred.succeed(lives.left, undefined)
  }).pipe(Effect.orDie)
  const asked = yield* Deferred.make<End>()
  const doors = yield* openDoors({
    options,
    identity,
    // A token names what the cluster is known by, which this node may be about to hear.
    root: () => manager?.ledger.read.cluster()?.Roots?.ca.certificate ?? credentials.held().membership.root,
    manager,
    system,
    executor,
    leave,
    forceNewCluster: forceNewCluster(lives, asked)
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
  // Whoever waits for the cluster to be begun anew: it is.
  if (lives.forced !== undefined) yield* Deferred.succeed(lives.forced, identity.nodeId)
  lives.forced = undefined
  const over = Effect.as(Effect.raceFirst(node.ended, Deferred.await(lives.left)), "over" as End)
  const changed = Effect.as(followRole({ options, credentials, system }, standings), "another role" as End)
  const ended = Effect.raceFirst(Effect.raceFirst(over, changed), Deferred.await(asked))
  if (manager === undefined) return yield* ended
  // Before anything else ends: who waits for a write here is answered by the next leader.
  return yield* Effect.raceFirst(ended, manager.leftBehind).pipe(
    Effect.ensuring(manager.ledger.group.handOver)
  )
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
  system: System["Service"]
) {
  yield* Effect.acquireRelease(
    Effect.sync(() => system.claim("manager")),
    (claim) => Effect.sync(() => claim.release())
  )
  yield* leadership(identity).pipe(
    Effect.provideService(Ledger, ledger),
    Effect.provideService(System, system),
    Effect.forkScoped
  )
})

const secretsRoot = ({ runDir }: NodeOptions): string => `${runDir}/tasks`

/** What a manager tells monitoring beside its actors. */
function familiesOf(ledger: LedgerService): ReadonlyArray<Family> {
  const figures = ledger.figures?.()
  return [...ledgerMetrics(ledger), ...(figures === undefined ? [] : raftMetrics(figures))]
}

const driversOf = (options: NodeOptions, identity: Identity) => {
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
  const readers = LogReaders.layer.pipe(Layer.provideMerge(memory), Layer.provideMerge(executor))
  return Layer.mergeAll(readers, secrets, DataPlaneLive.layer(options))
}

interface Parts {
  readonly options: NodeOptions
  readonly identity: Identity
  /** The cluster's root certificate as it is now, PEM. */
  readonly root: () => string
  /** Absent on a worker. */
  readonly manager: { readonly ledger: LedgerService; readonly nats: ManagerNats } | undefined
  readonly system: System["Service"]
  readonly executor: ExecutorService
  readonly leave: Effect.Effect<void>
  readonly forceNewCluster: Effect.Effect<string, Refused>
}

const doorsOf = ({ socket, http, dataDir }: NodeOptions) => ({
  socket,
  http,
  dataDir,
  version: packageJson.version
})

const sharedOf = ({ nodeId }: Identity, root: () => string) => ({
  nodeId,
  clock: Date.now,
  fresh: freshFromMachine(),
  newToken: () => newJoinToken(root()),
  onDefect: (defect: unknown, request: Request) => console.error(`${request.method} ${request.url}`, defect)
})

/** The Engine API on the socket and over TCP, and the NATS API beside it. */
const openDoors = Effect.fnUntraced(function* (parts: Parts) {
  const { options, identity, root, manager, system, executor } = parts
  const { nodeId, clusterId } = identity
  const shared = sharedOf(identity, root)
  const doors = yield* openGateway({
    ...shared,
    ...doorsOf(options),
    engine: yield* engineAddress(options),
    executor,
    ledger: () => manager?.ledger,
    membership: () => (manager ? "active/manager" : "active/worker"),
    system,
    control: { leave: () => parts.leave, ...(manager && { forceNewCluster: parts.forceNewCluster }) }
  })
  if (manager === undefined) return doors
  const { ledger, nats } = manager
  const app = makeApp({ ...shared, ledger, run: Effect.runPromise, engine: doors.link, who: () => "nats" })
  yield* serveApi({
    transport: nats.api,
    ledger,
    cluster: clusterId,
    nodeId,
    version: packageJson.version,
    fetch: (request) => app.fetch(request),
    host: makeLiveHost()
  })
  return doors
})

const engineAddress = (options: NodeOptions): Effect.Effect<EngineAddress | undefined, Error> => {
  if (options.executor === "process") return Effect.succeed(undefined)
  const address = parseEngineAddress(options.dockerHost)
  return address instanceof Error ? Effect.fail(address) : Effect.succeed(address)
}
