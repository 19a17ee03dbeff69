/**
 * The composition root: every part of a node is named here once, in the order in which they rely on each other.
 *
 *     identity → Engine → nats-server → transport → ledger → actors (leader, node) → gateway, NATS API
 *
 * Each part lives in the scope of the whole and is ended in the reverse order. Tasks go on when the daemon ends.
 */
import { randomBytes } from "node:crypto"
import { mkdirSync, rmSync } from "node:fs"
import { networkInterfaces } from "node:os"
import process from "node:process"
import { Context, Deferred, Effect, Layer, Queue } from "effect"
import { serveApi } from "#actors/api/serve.ts"
import { openJoinPort } from "#actors/authority/join-port.ts"
import { newJoinToken } from "#actors/authority/join-token.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import { dropRoots, type Held, readRoots, writeHeld } from "#actors/authority/store.ts"
import { peersOf, welcome } from "#actors/authority/welcome.ts"
import { DataPlaneLive, stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import { type EngineAddress, parseEngineAddress } from "#actors/drivers/engine/address.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { Executor, type ExecutorService } from "#actors/drivers/executor.ts"
import { clusterLabel, nodeLabel } from "#actors/drivers/labels.ts"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"
import { RefusingSecretStore, removeRoot, TmpfsSecretStore } from "#actors/drivers/secret-store/tmpfs.ts"
import { makeApp } from "#actors/gateway/app.ts"
import { openGateway } from "#actors/gateway/open.ts"
import type { Command } from "#actors/ledger/commands.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import { foundingCommands } from "#actors/manager/found.ts"
import { leadership } from "#actors/manager/leadership.ts"
import { ownSeeds, publicKeysOf } from "#actors/nats/creds.ts"
import { NatsServer } from "#actors/nats/server.ts"
import { nodeTree } from "#actors/node/tree.ts"
import { type Configuration, founding, nobody } from "#actors/raft/core/configuration.ts"
import { openGroup } from "#actors/raft/group.ts"
import { followDepartures } from "#actors/raft/wire/departures.ts"
import { openNatsWire } from "#actors/raft/wire/nats.ts"
import { openFlightRecorder, showEvent } from "#cli/flight-recorder.ts"
import { freshFromMachine } from "#cli/identity.ts"
import { removeTasks } from "#cli/leave.ts"
import { connectNats, type ManagerNats, raftIdOf } from "#cli/manager-nats.ts"
import { becomeMember } from "#cli/member.ts"
import { type NodeOptions, type RawNodeOptions, resolveNodeOptions } from "#cli/node-options.ts"
import { announceRunning } from "#cli/running.ts"
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
  yield* Effect.scoped(serve(options, left)).pipe(Effect.ensuring(vanishIfLeft))
})

/** What a node that left its cluster does last: nothing of it is to be found again. */
const vanish = Effect.fnUntraced(function* (options: NodeOptions) {
  yield* stopDataPlane(options)
  yield* removeRoot(secretsRoot(options))
  for (const folder of [options.dataDir, options.runDir]) rmSync(folder, { recursive: true, force: true })
})

const serve = Effect.fnUntraced(function* (options: NodeOptions, left: Deferred.Deferred<void>) {
  const host = makeLiveHost((error) => console.error("a turn failed", error))
  const held = yield* becomeMember(options, host.now())
  const identity: Identity = held.membership
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })

  const drivers = yield* Layer.build(driversOf(options, identity))
  const executor = Context.get(drivers, Executor)
  const nats = yield* connectNats(options, held)
  const ledger = yield* openLedger({
    openRaft: openGroup({ wire: yield* openWire(nats, held), initial: initialGroup(held) }),
    directory: options.dataDir,
    clusterId: identity.clusterId,
    nodeId: identity.nodeId,
    raftId: raftIdOf(held),
    host,
    boot: randomBytes(8).toString("hex")
  })
  if (held.origin === "founded") yield* found(options, held, executor, ledger)
  yield* followPeers(options.dataDir, held, nats, ledger)

  const flight = yield* openFlightRecorder({
    ...identity,
    host,
    ledger,
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
    recorder: flight?.recorder,
    dump: flight?.dump,
    trace: {}
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => system.close()))
  yield* Effect.acquireRelease(
    Effect.sync(() => catchStrays(system.stray)),
    (release) => Effect.sync(release)
  )
  const shared = Context.add(Context.add(drivers, Ledger, ledger), System, system)
  const actors = nats.server ? Context.add(shared, NatsServer, nats.server) : shared

  yield* Effect.acquireRelease(
    Effect.sync(() => system.claim("manager")),
    (claim) => Effect.sync(() => claim.release())
  )
  yield* leadership(identity).pipe(Effect.provideContext(actors), Effect.forkScoped)
  const node = yield* system
    .run(
      nodeTree({
        ...identity,
        addr: options.advertiseAddr,
        name: options.name,
        ...(nats.server && { nats: nats.server.status() })
      }),
      identity.nodeId
    )
    .pipe(Effect.provideContext(actors))

  const leave = Effect.gen(function* () {
    yield* node.stop
    yield* removeTasks(executor)
    yield* Deferred.succeed(left, undefined)
  }).pipe(Effect.orDie)
  const doors = yield* openDoors({
    options,
    identity,
    root: held.membership.root,
    ledger,
    system,
    executor,
    nats,
    leave
  })
  yield* openJoinPort({
    host: options.listenAddr,
    port: held.ports.join,
    identity: () => ({ ...held.membership, key: held.key }),
    welcome: welcome({ ledger, fresh: freshFromMachine(), clock: () => host.now() })
  })
  // Before anything else ends: who waits for a write here is answered by the next leader.
  yield* Effect.addFinalizer(() => ledger.group.handOver)
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
    `Node ${identity.nodeId} of cluster ${identity.clusterId} serves the Docker API at unix://${options.socket} and ${doors.url ?? "no TCP address"}`
  )
  yield* Effect.raceFirst(node.ended, Deferred.await(left))
})

/** How members of the Raft group reach each other. A cluster that is begun anew from a survivor has another name. */
const openWire = (nats: ManagerNats, held: Held) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { clusterId } = held.membership
      const wire = openNatsWire({ clusterId, raftId: raftIdOf(held), group: clusterId, ...nats.raft })
      const departures = nats.system && followDepartures(nats.system, wire)
      return { wire, departures }
    }),
    ({ wire, departures }) =>
      Effect.sync(() => {
        departures?.unsubscribe()
        wire.close()
      })
  ).pipe(Effect.map(({ wire }) => wire))

/** Who founds a cluster begins alone; who joins one waits to be told of its group. */
const initialGroup = (held: Held): Configuration =>
  held.origin === "founded" ? founding(raftIdOf(held)) : nobody

/** Who the managers are is known to nats-server and to every connection, now and at the next start. */
const followPeers = Effect.fnUntraced(function* (
  dataDir: string,
  held: Held,
  nats: ManagerNats,
  ledger: LedgerService
) {
  const looks = yield* Queue.sliding<"look">(1)
  const look = (): void => void Queue.offerUnsafe(looks, "look")
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      ledger.follow(({ changes }) => {
        if (changes.some(({ kind }) => kind === "node")) look()
      })
    ),
    (following) => Effect.sync(() => following.unsubscribe())
  )
  let known = JSON.stringify(held.membership.managers)
  const follow = Effect.gen(function* () {
    yield* Queue.take(looks)
    const managers = peersOf(ledger.read)
    const now = JSON.stringify(managers)
    // A ledger that is being caught up with knows nobody yet.
    if (now === known || managers.length === 0) return
    known = now
    yield* nats.setPeers(managers)
    yield* writeHeld(dataDir, { ...held, membership: { ...held.membership, managers } })
  }).pipe(
    Effect.catch((error) => Effect.logError(error.message)),
    Effect.forever
  )
  look()
  yield* Effect.forkScoped(follow)
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

/**
 * The first start of a new cluster: what it begins with becomes the first entries of its log. A cluster of an
 * earlier release is given the roots that it was founded without. Then the roots have no other place any more.
 */
const found = Effect.fnUntraced(function* (
  options: NodeOptions,
  { membership, ports }: Held,
  executor: ExecutorService,
  ledger: LedgerService
) {
  const roots = yield* readRoots(options.dataDir)
  if (roots === undefined) return
  const root = roots.ca.certificate
  const tokens = { Worker: newJoinToken(root), Manager: newJoinToken(root) }
  const known = ledger.read.cluster()
  const commands: ReadonlyArray<Command> =
    known === undefined
      ? foundingCommands({
          clusterId: membership.clusterId,
          ingressId: freshFromMachine().id(),
          addrPool: options.addrPool,
          node: {
            id: membership.nodeId,
            addr: options.advertiseAddr,
            availability: options.availability,
            description: { ...(yield* executor.describe), Hostname: options.name },
            keys: publicKeysOf(yield* ownSeeds(options.dataDir)),
            ports
          },
          roots,
          tokens
        })
      : known.Roots === undefined
        ? [{ type: "cluster.trust", v: 1, roots, tokens }]
        : []
  for (const command of commands) {
    const outcome = yield* ledger.propose(command, { who: "local", why: "a new cluster" })
    if (outcome._tag !== "Applied") {
      return yield* Effect.fail(new Error(`Cannot found the cluster: ${JSON.stringify(outcome)}`))
    }
  }
  yield* dropRoots(options.dataDir)
})

interface Parts {
  readonly options: NodeOptions
  readonly identity: Identity
  /** The cluster's root certificate, PEM. */
  readonly root: string
  readonly ledger: LedgerService
  readonly system: System["Service"]
  readonly executor: ExecutorService
  readonly nats: ManagerNats
  readonly leave: Effect.Effect<void>
}

/** The Engine API on the socket and over TCP, and the NATS API beside it. */
const openDoors = Effect.fnUntraced(function* (parts: Parts) {
  const { options, identity, root, ledger, system, executor, nats } = parts
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
    ledger: () => ledger,
    membership: () => "active/manager",
    system,
    version: packageJson.version,
    control: { leave: () => parts.leave }
  })
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
