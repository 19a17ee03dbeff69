/** The doors of a node, and what answers there: the Engine API for everybody, the NATS API and the join port where it is a manager. */
import { Effect, type Tracer } from "effect"
import { askerIn, serveApi } from "#actors/api/serve.ts"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { keepJoinPort } from "#actors/authority/join-port.ts"
import { newJoinToken } from "#actors/authority/join-token.ts"
import { newUnlockKey } from "#actors/authority/lock.ts"
import { joinAddress, peersOf } from "#actors/authority/peers.ts"
import { reissueAtDoor } from "#actors/authority/reissue.ts"
import type { Held } from "#actors/authority/store.ts"
import { welcome } from "#actors/authority/welcome.ts"
import { type EngineAddress, parseEngineAddress } from "#actors/drivers/engine/address.ts"
import type { ExecutorService } from "#actors/drivers/executor.ts"
import { makeApp } from "#actors/gateway/app.ts"
import type { Whereabouts } from "#actors/gateway/gateway.ts"
import { type EngineDoors, type OpenOptions, openEngineDoors, openGateway } from "#actors/gateway/open.ts"
import type { HistoryKeeper } from "#actors/history/keeper.ts"
import type { History } from "#actors/meter/history.ts"
import { keepLoads } from "#actors/meter/loads.ts"
import type { Refused } from "#actors/model/errors.ts"
import { buildPages } from "#cli/dashboard/pages.ts"
import { freshFromMachine, type Identity } from "#cli/identity.ts"
import type { Manager } from "#cli/manager.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import type { SystemService } from "#runtime/system.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import packageJson from "../package.json" with { type: "json" }

/** The Engine API's socket and TCP port. They are the daemon's: its lives answer there one after another. */
export const openDoors = Effect.fnUntraced(function* (options: NodeOptions) {
  const { socket, http } = options
  return yield* openEngineDoors({ socket, http, engine: yield* engineAddress(options) })
})

/** What a member's doors lead to. */
interface Parts {
  readonly options: NodeOptions
  readonly doors: EngineDoors
  readonly credentials: CredentialsService
  /** Absent on a worker. */
  readonly manager: Manager | undefined
  readonly history: History | undefined
  readonly changes: HistoryKeeper | undefined
  readonly tracer: Tracer.Tracer | undefined
  readonly system: SystemService
  readonly executor: ExecutorService
  readonly leave: Effect.Effect<void, Refused>
  readonly forceNewCluster: Effect.Effect<string, Refused>
}

/** Answers at the doors, and where it is a manager over NATS and at the join port. */
export const answerAsMember = Effect.fnUntraced(function* (parts: Parts) {
  const { options, doors, credentials, manager, system, executor } = parts
  const { nodeId, clusterId } = credentials.held().membership
  // A token names what the cluster is known by, which this node may be about to hear.
  const root = () =>
    manager?.ledger.read.cluster()?.Roots?.ca.certificate ?? credentials.held().membership.root
  const shared = sharedOf(nodeId, root)
  const traced = parts.tracer === undefined ? {} : { tracer: parts.tracer }
  const { history, audit } = yield* openGateway({
    ...shared,
    ...servedOf(options),
    doors,
    executor,
    ledger: () => manager?.ledger,
    history: () => parts.history,
    changes: () => parts.changes,
    ...traced,
    membership: () => (manager ? "active/manager" : "active/worker"),
    whereabouts: () => whereaboutsOf(options, credentials.held()),
    system,
    control: { leave: () => parts.leave, ...(manager && { forceNewCluster: parts.forceNewCluster }) }
  })
  if (manager === undefined) return
  const { ledger, nats } = manager
  yield* keepLoads({ transport: nats.api, ledger, system, host: makeLiveHost() })
  const app = makeApp({
    ...shared,
    ledger,
    run: Effect.runPromise,
    engine: doors.link,
    who: askerIn,
    ...traced
  })
  yield* serveApi({
    transport: nats.api,
    ledger,
    cluster: clusterId,
    nodeId,
    version: packageJson.version,
    fetch: (request) =>
      history.owns(request.method, new URL(request.url).pathname)
        ? history.fetch(request)
        : app.fetch(request),
    // Another NATS has users of its own.
    named: nats.server !== undefined,
    host: makeLiveHost(),
    note: audit.note
  })
  if (nats.server !== undefined) yield* nats.server.refusals(audit.note)
  yield* openJoinPort(options, credentials, manager)
})

/** Where machines ask to become nodes, and managers that come back ask which life of the cluster this is. */
const openJoinPort = (
  { listenAddr }: NodeOptions,
  credentials: CredentialsService,
  { ledger, incarnation, raftId }: Manager
) =>
  keepJoinPort(
    {
      host: listenAddr,
      port: credentials.held().ports.join,
      identity: () => {
        const { membership, key } = credentials.held()
        return { ...membership, key }
      },
      welcome: welcome({ ledger, fresh: freshFromMachine(), clock: Date.now }),
      reissue: reissueAtDoor(ledger, Date.now),
      standing: (member) => {
        const { clusterId, routes = 1 } = credentials.held().membership
        const said = { clusterId, raftId, incarnation, routes }
        if (member === undefined) return said
        return { ...said, isMember: peersOf(ledger.read).some((peer) => peer.raftId === member) }
      }
    },
    credentials
  )

/** What the Engine API of a node says and takes that takes part in no cluster. */
export type AloneAnswers = Pick<OpenOptions, "membership" | "problem" | "whereabouts" | "control">

const nobody: Identity = { nodeId: "", clusterId: "" }

/** Answers at the doors without a ledger, and with nobody to speak to. `held` is absent on a node without a cluster. */
export const answerAlone = Effect.fnUntraced(function* (
  options: NodeOptions,
  doors: EngineDoors,
  held: Held | undefined,
  alone: AloneAnswers
) {
  const { nodeId, clusterId } = held?.membership ?? nobody
  const host = makeLiveHost((error) => console.error("a turn failed", error))
  // A subject has a word in each of its places, also where nobody will ever hear it.
  const [node, cluster] = [nodeId || "idle", clusterId || "none"]
  return yield* openGateway({
    ...sharedOf(nodeId, () => held?.membership.root ?? ""),
    ...servedOf(options),
    doors,
    ledger: () => undefined,
    executor: { ensureNetwork: () => Effect.die("no ledger, no network of it") },
    system: makeSystem({ cluster, nodeId: node, host, transport: new MemoryBus(host).connect(node) }),
    ...alone
  })
})

const servedOf = ({ dataDir }: NodeOptions) => ({
  dataDir,
  pages: buildPages,
  stacks: async () => (await import("#cli/dashboard/stacks.ts")).stacks,
  version: packageJson.version
})

const sharedOf = (nodeId: string, root: () => string) => ({
  nodeId,
  clock: Date.now,
  fresh: freshFromMachine(),
  newToken: () => newJoinToken(root()),
  newUnlockKey,
  onDefect: (defect: unknown, request: Request) => console.error(`${request.method} ${request.url}`, defect)
})

export const whereaboutsOf = ({ advertiseAddr }: NodeOptions, { membership }: Held): Whereabouts => ({
  address: advertiseAddr,
  managers: membership.managers.map(({ nodeId, address, ports }) => ({
    nodeId,
    joinAddress: joinAddress(address, ports)
  }))
})

const engineAddress = (options: NodeOptions): Effect.Effect<EngineAddress | undefined, Error> => {
  if (options.executor === "process") return Effect.succeed(undefined)
  const address = parseEngineAddress(options.dockerHost)
  return address instanceof Error ? Effect.fail(address) : Effect.succeed(address)
}
