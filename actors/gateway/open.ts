/**
 * The gateway, put together: the doors and the link to the Engine, once for as long as the daemon lives; our routes and
 * the interception, for each life of the node. It alone names all of its parts; the daemon names only this.
 */
import { Effect, FiberSet, type Scope } from "effect"
import type { ExecutorService } from "#actors/drivers/executor.ts"
import { type Audit, openAudit } from "#actors/gateway/access/audit.ts"
import { tellManagers } from "#actors/gateway/access/common.ts"
import { identityOf } from "#actors/gateway/access/identity-of.ts"
import { openAccess } from "#actors/gateway/access/open.ts"
import { answerHeaders } from "#actors/gateway/answer-headers.ts"
import { type AppOptions, makeApp, owns } from "#actors/gateway/app.ts"
import { makeAttachments } from "#actors/gateway/attachments.ts"
import { openConsoleAt } from "#actors/gateway/dashboard/far-console.ts"
import type { LoadPages } from "#actors/gateway/dashboard/pages.ts"
import { dashboardRoutes } from "#actors/gateway/dashboard/routes.ts"
import type { StackOptions } from "#actors/gateway/dashboard/stacks.ts"
import { type CannotListen, type DoorOptions, type Doors, openDoors } from "#actors/gateway/doors.ts"
import { connectEngine, type EngineLink } from "#actors/gateway/engine-client-live.ts"
import { type EventFeed, makeEventFeed } from "#actors/gateway/event-feed.ts"
import type { Gateway, Whereabouts } from "#actors/gateway/gateway.ts"
import type { HttpTokenError } from "#actors/gateway/http-token.ts"
import { makeInterceptor } from "#actors/gateway/intercept.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { alertRoutes } from "#actors/gateway/routes/alerts.ts"
import { autoscaleRoutes } from "#actors/gateway/routes/autoscale.ts"
import { backupRoutes } from "#actors/gateway/routes/backup.ts"
import { changeRoutes } from "#actors/gateway/routes/changes.ts"
import { historyRoutes } from "#actors/gateway/routes/history.ts"
import { logRoutes } from "#actors/gateway/routes/logs.ts"
import { metricsRoutes } from "#actors/gateway/routes/metrics.ts"
import { nodeNetworkRoutes } from "#actors/gateway/routes/node-network.ts"
import { raftRoutes } from "#actors/gateway/routes/raft.ts"
import { systemRoutes } from "#actors/gateway/routes/system.ts"
import { serveGateway } from "#actors/gateway/server.ts"
import type { HistoryKeeper } from "#actors/history/keeper.ts"
import { caughtUp, following } from "#actors/ledger/following.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import type { History } from "#actors/meter/history.ts"
import type { SystemService } from "#runtime/system.ts"

export interface OpenOptions
  extends Pick<
    AppOptions,
    "nodeId" | "clock" | "fresh" | "newToken" | "newUnlockKey" | "problem" | "control" | "onDefect" | "tracer"
  > {
  readonly doors: EngineDoors
  readonly dataDir: string
  readonly executor: Pick<ExecutorService, "ensureNetwork">
  /** See `Gateway.whereabouts`. */
  readonly whereabouts?: () => Whereabouts
  /** `undefined` as long as this node is no manager. */
  readonly ledger: () => LedgerService | undefined
  /** What was measured; `undefined` as long as this node is no manager. */
  readonly history?: () => History | undefined
  /** What happened; `undefined` as long as this node is no manager. */
  readonly changes?: () => HistoryKeeper | undefined
  readonly membership: NonNullable<AppOptions["membership"]>
  readonly system: Pick<SystemService, "ask" | "tell" | "metrics" | "trees" | "restart">
  /** What browsers are given; see `dashboard/pages.ts`. */
  readonly pages?: LoadPages
  /** See `dashboard/stacks.ts`. */
  readonly stacks?: StackOptions["stacks"]
  /** Ours, for `/version`. */
  readonly version: string
}

/** The doors, what everybody behind them asks the Engine by, and the events, which are followed through all lives. */
export interface EngineDoors extends Doors {
  readonly link: EngineLink
  readonly feed: EventFeed
  /** Ends what goes on through all lives. */
  readonly closing: AbortSignal
}

/** Whoever comes waits until a gateway is opened behind these. */
export const openEngineDoors = Effect.fnUntraced(function* (
  options: Omit<DoorOptions, "engineVersion">
): Effect.fn.Return<EngineDoors, CannotListen, Scope.Scope> {
  let link: EngineLink | undefined
  // First, because an Engine may take its time.
  const doors = yield* openDoors({ ...options, engineVersion: () => link?.apiVersion() })
  link = yield* connectEngine(options.engine)
  const closing = new AbortController()
  yield* Effect.addFinalizer(() => Effect.sync(() => closing.abort()))
  return { ...doors, link, feed: makeEventFeed(), closing: closing.signal }
})

/** Serves until the scope closes. */
export const openGateway = Effect.fn("gateway.open")(function* (
  options: OpenOptions
): Effect.fn.Return<
  { readonly token: string; readonly history: RouteSet; readonly audit: Audit },
  HttpTokenError,
  Scope.Scope
> {
  const { doors, nodeId, ledger, membership, clock, executor, system, whereabouts } = options
  const { link, feed } = doors
  const headers = (): Record<string, string> => answerHeaders(link)

  yield* Effect.forkScoped(tellNews(ledger(), feed, clock()))
  const stopping = new AbortController()

  const who = (request: Request): string => identityOf(request).who
  const onProblem = (problem: string): void => Effect.runSync(Effect.logError(problem))
  const http = doors.url === undefined ? {} : { http: doors.url }
  const access = yield* openAccess({ ...options, ...http, onProblem })
  if (doors.url !== undefined) yield* Effect.forkScoped(tellManagers({ nodeId, ledger, clock, ...access }))
  const audit = openAudit(options.dataDir, clock, onProblem)
  const known = {
    ledger,
    membership,
    nodeId,
    engine: link,
    who,
    clock,
    fresh: options.fresh,
    newToken: options.newToken,
    newUnlockKey: options.newUnlockKey,
    ...(options.problem === undefined ? {} : { problem: options.problem })
  }
  const app = makeApp({
    ...known,
    run: Effect.runPromise,
    headers,
    ...(options.control === undefined ? {} : { control: options.control }),
    ...(options.onDefect === undefined ? {} : { onDefect: options.onDefect }),
    ...(options.tracer === undefined ? {} : { tracer: options.tracer })
  })
  const gateway: Gateway = { ...known, control: options.control ?? {}, ...(whereabouts && { whereabouts }) }

  // Before the doors: consoles end after these have closed.
  const fork = yield* FiberSet.makeRuntime<never>()
  const attachments = makeAttachments({ nodeId, fresh: options.fresh, engine: link, system })
  yield* Effect.forkScoped(attachments.tend)

  const changes = options.changes ?? (() => undefined)
  const history = changeRoutes({ gateway, changes, headers, stopping: stopping.signal })
  yield* serveGateway({
    doors,
    ...access,
    audit,
    clock,
    engineVersion: link.apiVersion,
    headers,
    routes: [
      systemRoutes({ gateway, ...doors, changes, version: options.version }),
      history,
      logRoutes({ gateway, system, headers }),
      alertRoutes({ gateway, system, headers }),
      autoscaleRoutes({ gateway, system, headers }),
      historyRoutes({ gateway, history: options.history ?? (() => undefined), headers }),
      metricsRoutes({ text: system.metrics, headers }),
      backupRoutes({ ledger, nodeId, version: options.version, clock, headers }),
      nodeNetworkRoutes({ nodeId, system, headers }),
      raftRoutes({ status: () => ledger()?.status() ?? outOfService(options), headers }),
      dashboardRoutes({
        ...access,
        url: () => doors.url,
        ledger,
        feed,
        audit,
        stopping: stopping.signal,
        system,
        nodeId,
        clock,
        console: (place, request) => openConsoleAt(system, place, request),
        fork,
        ...(options.pages && { pages: options.pages }),
        ...(options.stacks && { stacks: options.stacks }),
        about: () => ({ nodeId, membership: membership(), version: options.version })
      }),
      { fetch: (request) => app.fetch(request), owns }
    ],
    interceptor: makeInterceptor({ gateway, engine: link, executor, attachments }),
    onStop: () => stopping.abort()
  })
  return { token: access.token, history, audit }
})

/** What was before this life is no news to a manager that has only just become one, or was away. */
const tellNews = Effect.fnUntraced(function* (
  ledger: LedgerService | undefined,
  feed: EventFeed,
  now: number
) {
  if (ledger === undefined) return
  let isCaughtUp = false
  yield* following(ledger, (changes) => {
    if (isCaughtUp || changes.time >= now) feed.take(changes)
  })
  yield* caughtUp(ledger, "100 millis")
  isCaughtUp = true
})

/** Of a manager without a ledger. */
const outOfService = ({ nodeId, problem }: OpenOptions) =>
  problem === undefined ? undefined : { nodeId, role: "quarantined" as const, problem }
