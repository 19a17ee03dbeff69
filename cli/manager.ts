/**
 * What a manager has beside what every node has: nats-server, its place in the Raft group and the ledger, and the
 * leader's actors while it leads.
 */
import { randomBytes } from "node:crypto"
import { type Duration, Effect, Queue, Schedule } from "effect"
import { type CredentialsService, joinedBy, knowing } from "#actors/authority/credentials.ts"
import { newJoinToken } from "#actors/authority/join-token.ts"
import { newUnlockKey } from "#actors/authority/lock.ts"
import { peersOf, workersOf } from "#actors/authority/peers.ts"
import type { Peer } from "#actors/authority/protocol.ts"
import { dropRoots, type Held, readRoots } from "#actors/authority/store.ts"
import type { ExecutorService } from "#actors/drivers/executor.ts"
import { secretPlugins } from "#actors/drivers/secret-providers/plugins.ts"
import { SecretProviders } from "#actors/drivers/secret-providers.ts"
import { VolumePlugins, type VolumePluginsService } from "#actors/drivers/volume-plugins.ts"
import { completeSwarm } from "#actors/gateway/validate/check-swarm.ts"
import type { Command } from "#actors/ledger/commands.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import { caughtUp } from "#actors/ledger/following.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import type { Change } from "#actors/ledger/reader.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { firstNode, foundingCommands, usualSpec } from "#actors/manager/found.ts"
import { leadership } from "#actors/manager/leadership.ts"
import { equal } from "#actors/model/service-facts.ts"
import { ownSeeds, publicKeysOf } from "#actors/nats/creds.ts"
import { reach } from "#actors/network/reach.ts"
import { type Configuration, founding, nobody } from "#actors/raft/core/configuration.ts"
import { setFormerLogAside } from "#actors/raft/former-log.ts"
import { openGroup } from "#actors/raft/group.ts"
import { firstIncarnation, type Incarnation, showIncarnation, supersedes } from "#actors/raft/incarnation.ts"
import { followDepartures } from "#actors/raft/wire/departures.ts"
import { openNatsWire } from "#actors/raft/wire/nats.ts"
import { queue } from "#actors/scheduler/queue.ts"
import { rooms } from "#actors/scheduler/rooms.ts"
import { formerSelves, removeFormer } from "#cli/former-self.ts"
import { freshFromMachine, type Identity } from "#cli/identity.ts"
import { atNews, newsOf } from "#cli/ledger-news.ts"
import { incarnationOf, keepAsking, type Lookout, lookOut } from "#cli/left-behind.ts"
import { bytesOf, followLock, type Keyring } from "#cli/lock.ts"
import { connectNats, type ManagerNats, raftIdOf } from "#cli/manager-nats.ts"
import { followClients } from "#cli/nats-clients.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import type { Host } from "#runtime/host.ts"
import { System, type SystemService } from "#runtime/system.ts"

/** Everything a manager relies on, in this order; the cluster is founded where this is its first start. */
export const openManager = Effect.fn("cli.openManager")(function* (
  options: NodeOptions,
  credentials: CredentialsService,
  executor: ExecutorService,
  host: Host,
  keyring: Keyring
) {
  const held = credentials.held()
  const { clusterId, nodeId, managers } = held.membership
  const raftId = raftIdOf(held)
  yield* Effect.try(() => setFormerLogAside(options.dataDir, raftId))
  const incarnation = incarnationOf(options.dataDir, held)
  const lookout = yield* lookOut(credentials, incarnation)
  // Before this member says a word: who comes back to a group that went on without it might find a majority of its like.
  const connecting = Effect.all([connectNats(options, credentials), lookout.ask(managers)], {
    concurrency: 2
  })
  const [nats] = yield* connecting
  const wire = yield* openWire(nats, held, incarnation, lookout)
  const unlockKey = bytesOf(keyring.unlockKey)
  const opening = openLedger({
    openRaft: openGroup({
      ...{ wire, initial: initialGroup(held), incarnation },
      ...(unlockKey !== undefined && { unlockKey })
    }),
    directory: options.dataDir,
    clusterId,
    nodeId,
    raftId,
    host,
    boot: randomBytes(8).toString("hex"),
    views: [rooms, queue, reach]
  })
  const ledger = yield* Effect.raceFirst(lookout.leftBehind, opening)
  const settling = settle(options, held, executor, ledger, incarnation)
  yield* Effect.raceFirst(lookout.leftBehind, settling)
  if (held.wish !== undefined) yield* credentials.change(({ wish: _granted, ...rest }) => rest)
  yield* followLock(credentials, ledger, keyring)
  yield* followPeers(credentials, nats, ledger)
  if (nats.server !== undefined) yield* followClients(options.dataDir, ledger)
  yield* Effect.forkScoped(keepAsking(credentials.held, ledger, lookout))
  return { nats, ledger, incarnation, raftId, leftBehind: lookout.leftBehind }
})
export type Manager = Effect.Success<ReturnType<typeof openManager>>

/** Answers for the home of managers, and for the leader's whenever it leads. */
export const lead = Effect.fnUntraced(function* (
  identity: Identity,
  ledger: LedgerService,
  system: SystemService,
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

/** How members of the Raft group reach each other. A cluster that is begun anew from a survivor has another name. */
const openWire = (nats: ManagerNats, held: Held, incarnation: Incarnation, { met }: Lookout) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { clusterId } = held.membership
      const wire = openNatsWire({ clusterId, raftId: raftIdOf(held), incarnation, met, ...nats.raft })
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
export const followPeers = Effect.fnUntraced(function* (
  credentials: Pick<CredentialsService, "held" | "change">,
  nats: Pick<ManagerNats, "setPeers">,
  ledger: LedgerService,
  again: Duration.Input = "5 seconds"
) {
  const news = yield* newsOf(ledger, changesPeers)
  let known = ""
  let isCurrent = false
  const isWithin = (managers: ReadonlyArray<Peer>): boolean =>
    credentials
      .held()
      .membership.managers.every(({ nodeId }) => managers.some((peer) => peer.nodeId === nodeId))
  const follow = Effect.gen(function* () {
    const managers = peersOf(ledger.read)
    const workers = workersOf(ledger.read)
    const roots = ledger.read.cluster()?.Roots
    const now = JSON.stringify([managers, workers, roots?.routePassword])
    // A ledger that is behind takes nobody away: without those it does not know yet it could never catch up.
    if (now === known || managers.length === 0 || (!isCurrent && !isWithin(managers))) return
    yield* nats.setPeers(managers, workers)
    yield* credentials.change((held) => knowing(managers)(roots ? joinedBy(roots)(held) : held))
    known = now
  })
  yield* Effect.forkScoped(atNews(news, follow, again))
  yield* caughtUp(ledger).pipe(
    Effect.andThen(
      Effect.sync(() => {
        isCurrent = true
        Queue.offerUnsafe(news, "look")
      })
    ),
    Effect.forkScoped
  )
})

/** Nodes are written down often, and rarely is it news to nats-server. */
function changesPeers(change: Change): boolean {
  if (change.kind === "cluster") {
    return change.before?.Roots?.routePassword !== change.after?.Roots?.routePassword
  }
  if (change.kind !== "node") return false
  const { before, after } = change
  return (
    before === undefined ||
    after === undefined ||
    before.Status.Addr !== after.Status.Addr ||
    !equal(before.Keys, after.Keys) ||
    !equal(before.ManagerStatus?.Ports, after.ManagerStatus?.Ports) ||
    before.ManagerStatus?.RaftId !== after.ManagerStatus?.RaftId
  )
}

/** A cluster that begins here, or begins anew here, is written into the ledger before anything acts on what is there. */
const settle = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  executor: ExecutorService,
  ledger: LedgerService,
  incarnation: Incarnation
) {
  if (supersedes(incarnation, firstIncarnation) && ledger.group.view().members.length === 1) {
    yield* applied(ledger)
    const known = ledger.read.cluster()?.Incarnation ?? firstIncarnation
    if (supersedes(incarnation, known)) yield* refound(options, held, executor, ledger, incarnation)
  }
  if (held.origin === "founded") yield* found(options, held, executor, ledger)
})

/** Completes when a member that is alone has applied its log; it has to be elected first. */
const applied = (ledger: LedgerService) =>
  ledger.readIndex.pipe(Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 100 }))

/** What this node says of itself, as the first of its cluster. */
const describe = Effect.fnUntraced(function* (
  options: NodeOptions,
  { membership, ports, wish }: Held,
  executor: ExecutorService
) {
  return {
    id: membership.nodeId,
    addr: options.advertiseAddr,
    availability: wish?.availability ?? options.availability,
    description: { ...(yield* executor.describe), Hostname: options.name },
    keys: publicKeysOf(yield* ownSeeds(options.dataDir)),
    ports
  }
})

const proposeAll = Effect.fnUntraced(function* (
  ledger: LedgerService,
  commands: ReadonlyArray<Command>,
  why: string
) {
  for (const command of commands) {
    const outcome = yield* ledger.propose(command, { who: "local", why })
    if (outcome._tag !== "Applied") {
      return yield* Effect.fail(new Error(`Cannot begin the cluster: ${JSON.stringify(outcome)}`))
    }
  }
})

/** The one who goes on alone says so in the ledger, before anything acts on what the ledger says of the others. */
const refound = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  executor: ExecutorService,
  ledger: LedgerService,
  incarnation: Incarnation
) {
  const roots = yield* readRoots(options.dataDir)
  const routePassword = held.membership.routePassword ?? roots?.routePassword ?? ""
  const node = firstNode(yield* describe(options, held, executor))
  const place = { ...node.ManagerStatus, RaftId: raftIdOf(held) }
  const former = formerSelves(ledger.read.all("node"), node)
  yield* Effect.logWarning(
    `The cluster begins anew with this manager alone, in incarnation ${showIncarnation(incarnation)}`
  )
  yield* proposeAll(
    ledger,
    [
      {
        type: "cluster.refound",
        v: 1,
        incarnation,
        node: { ...node, ManagerStatus: place },
        routePassword,
        level: featureLevel
      }
    ],
    "the cluster is begun anew"
  )
  const { clusterId } = held.membership
  for (const { ID: nodeId } of former) {
    const isGone = yield* removeFormer(options, { clusterId, nodeId }).pipe(
      Effect.catch(({ message }) =>
        Effect.as(Effect.logWarning(`What node ${nodeId} left on this machine stays: ${message}`), false)
      )
    )
    if (!isGone) continue
    yield* Effect.logInfo(`What node ${nodeId} left on this machine is removed: this node has its place`)
    const removal = { type: "node.remove", v: 1, id: nodeId, force: true } as const
    yield* proposeAll(ledger, [removal], "another node has its place")
  }
})

/**
 * The first start of a new cluster: what it begins with becomes the first entries of its log. A cluster of an
 * earlier release is given the roots that it was founded without. Then the roots have no other place any more.
 */
const found = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  executor: ExecutorService,
  ledger: LedgerService
) {
  const roots = yield* readRoots(options.dataDir)
  if (roots === undefined) return
  yield* applied(ledger)
  const root = roots.ca.certificate
  const tokens = { Worker: newJoinToken(root), Manager: newJoinToken(root) }
  const known = ledger.read.cluster()
  const commands: ReadonlyArray<Command> =
    known === undefined
      ? foundingCommands({
          clusterId: held.membership.clusterId,
          ingressId: freshFromMachine().id(),
          addrPool: held.wish?.addrPool ?? options.addrPool,
          subnetSize: held.wish?.subnetSize,
          dataPathPort: held.wish?.dataPathPort,
          spec: held.wish && completeSwarm(usualSpec, held.wish.spec),
          unlockKey: held.wish?.spec.EncryptionConfig?.AutoLockManagers ? newUnlockKey() : undefined,
          node: yield* describe(options, held, executor),
          roots,
          tokens
        })
      : known.Roots === undefined
        ? [{ type: "cluster.trust", v: 1, roots, tokens }]
        : []
  yield* proposeAll(ledger, commands, "a new cluster")
  yield* dropRoots(options.dataDir)
})
