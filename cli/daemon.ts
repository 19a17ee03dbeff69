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
import { openJoinPort } from "#actors/authority/join-port.ts"
import { newJoinToken } from "#actors/authority/join-token.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import type { Held } from "#actors/authority/store.ts"
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
import { LogReaders } from "#actors/logs/readers.ts"
import { leadership } from "#actors/manager/leadership.ts"
import { NatsServer } from "#actors/nats/server.ts"
import { StandingListener } from "#actors/node/session/actor.ts"
import type { Standing } from "#actors/node/session/protocol.ts"
import { nodeTree } from "#actors/node/tree.ts"
import { setFormerLogAside } from "#actors/raft/former-log.ts"
import { openFlightRecorder, showEvent } from "#cli/flight-recorder.ts"
import { freshFromMachine } from "#cli/identity.ts"
import { removeTasks } from "#cli/leave.ts"
import { openManager } from "#cli/manager.ts"
import type { ManagerNats } from "#cli/manager-nats.ts"
import { becomeMember } from "#cli/member.ts"
import { type NodeOptions, type RawNodeOptions, resolveNodeOptions } from "#cli/node-options.ts"
import { followManagers, followRole } from "#cli/role.ts"
import { announceRunning } from "#cli/running.ts"
import { connectWorker } from "#cli/worker-nats.ts"
import { assert } from "#runtime/assert.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { catchStrays } from "#runtime/strays.ts"
import { System } from "#runtime/system.ts"
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
  const left = yield* Deferred.make<void>()
  // A signal while it leaves must not cut the leaving short.
  const vanishIfLeft = Effect.flatMap(Deferred.isDone(left), (hasLeft) =>
    hasLeft ? vanish(options) : Effect.void
  )
  // Another role is another life: tasks go on, and the next life adopts them.
  const life = Effect.scoped(serve(options, left))
  yield* Effect.repeat(life, { while: (end) => end === "another role" }).pipe(Effect.ensuring(vanishIfLeft))
})

/** What a node that left its cluster does last: nothing of it is to be found again. */
const vanish = Effect.fnUntraced(function* (options: NodeOptions) {
  yield* stopDataPlane(options)
  yield* removeRoot(secretsRoot(options))
  for (const folder of [options.dataDir, options.runDir]) rmSync(folder, { recursive: true, force: true })
})

type End = "over" | "another role"

/** One life of this node, in the role that it holds when it begins. */
const serve = Effect.fnUntraced(function* (options: NodeOptions, left: Deferred.Deferred<void>) {
  const host = makeLiveHost((error) => console.error("a turn failed", error))
  const held = yield* becomeMember(options, host.now())
  const { role } = held.membership
  const identity: Identity = held.membership
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })

  const drivers = yield* Layer.build(driversOf(options, identity))
  const executor = Context.get(drivers, Executor)
  const manager = role === "manager" ? yield* openManager(options, held, executor, host) : undefined
  const worker = manager === undefined ? yield* openWorker(options, held) : undefined
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
    families: manager && (() => ledgerMetrics(manager.ledger)),
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
        ...(natsServer && { nats: natsServer.status() })
      }),
      identity.nodeId
    )
    .pipe(Effect.provideContext(natsServer ? Context.add(shared, NatsServer, natsServer) : shared))

  const leave = Effect.gen(function* () {
    yield* node.stop
    yield* removeTasks(executor)
    yield* Deferred.succeed(left, undefined)
  }).pipe(Effect.orDie)
  const doors = yield* openDoors({
    options,
    identity,
    root: held.membership.root,
    manager,
    system,
    executor,
    leave
  })
  if (manager) {
    const { ledger } = manager
    yield* openJoinPort({
      host: options.listenAddr,
      port: held.ports.join,
      identity: () => ({ ...held.membership, key: held.key }),
      welcome: welcome({ ledger, fresh: freshFromMachine(), clock: () => host.now() })
    })
    // Before anything else ends: who waits for a write here is answered by the next leader.
    yield* Effect.addFinalizer(() => ledger.group.handOver)
  }
  if (worker) yield* Effect.forkScoped(followManagers({ options, held, system }, worker.nats.setManagers))
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
  const over = Effect.as(Effect.raceFirst(node.ended, Deferred.await(left)), "over" as End)
  const changed = Effect.as(followRole({ options, held, system }, standings), "another role" as End)
  return yield* Effect.raceFirst(over, changed)
})

/** A worker has no log; one that it kept as a manager must not begin again. */
const openWorker = Effect.fnUntraced(function* (options: NodeOptions, held: Held) {
  yield* Effect.try(() => setFormerLogAside(options.dataDir, undefined))
  return { nats: yield* connectWorker(options, held) }
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
  const readers = LogReaders.layer.pipe(Layer.provideMerge(executor))
  return Layer.mergeAll(readers, secrets, DataPlaneLive.layer(options))
}

interface Parts {
  readonly options: NodeOptions
  readonly identity: Identity
  /** The cluster's root certificate, PEM. */
  readonly root: string
  /** Absent on a worker. */
  readonly manager: { readonly ledger: LedgerService; readonly nats: ManagerNats } | undefined
  readonly system: System["Service"]
  readonly executor: ExecutorService
  readonly leave: Effect.Effect<void>
}

/** The Engine API on the socket and over TCP, and the NATS API beside it. */
const openDoors = Effect.fnUntraced(function* (parts: Parts) {
  const { options, identity, root, manager, system, executor } = parts
  const { nodeId, clusterId } = identity
  const shared = {
    nodeId,
    clock: Date.now,
    fresh: freshFromMachine(),
    newToken: () => newJoinToken(root),
    onDefect: (defect: unknown, request: Request) => console.error(`${request.method} ${request.url}`, defect)
  }
  const doors = yield* openGateway({
    ...shared,
    socket: options.socket,
    http: options.http,
    dataDir: options.dataDir,
    engine: yield* engineAddress(options),
    executor,
    ledger: () => manager?.ledger,
    membership: () => (manager ? "active/manager" : "active/worker"),
    system,
    version: packageJson.version,
    control: { leave: () => parts.leave }
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
