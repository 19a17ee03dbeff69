/**
 * The Swarm half of the Engine API as a Hono application.
 *
 * Paths may carry a version, `/v1.41/services`, or none. What is not in the table below is the Engine's own half;
 * the listener asks `owns` and passes everything else through.
 */
import { Effect, Tracer } from "effect"
import { Hono } from "hono"
import { answerOf } from "#actors/gateway/body.ts"
import type { EngineClientService } from "#actors/gateway/engine-client.ts"
import type { Call, Gateway, Membership, MembershipControl, Route } from "#actors/gateway/gateway.ts"
import { offeredVersion, refuseVersion, splitVersion } from "#actors/gateway/negotiate.ts"
import { type Answer, problem, toResponse } from "#actors/gateway/response.ts"
import { configRoutes } from "#actors/gateway/routes/configs.ts"
import { distributionRoutes } from "#actors/gateway/routes/distribution.ts"
import { natsClientRoutes } from "#actors/gateway/routes/nats-clients.ts"
import { networkRoutes } from "#actors/gateway/routes/networks.ts"
import { nodeRoutes } from "#actors/gateway/routes/nodes.ts"
import { secretRoutes } from "#actors/gateway/routes/secrets.ts"
import { serviceRoutes } from "#actors/gateway/routes/services.ts"
import { swarmRoutes } from "#actors/gateway/routes/swarm.ts"
import { taskRoutes } from "#actors/gateway/routes/tasks.ts"
import { volumeRoutes } from "#actors/gateway/routes/volumes.ts"
import { whyRoutes } from "#actors/gateway/routes/why.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { readTraceparent } from "#runtime/envelope.ts"
import type { Fresh } from "#runtime/ids.ts"

export interface AppOptions {
  /** A function where the node can become a manager, or stop being one, while it runs. */
  readonly ledger: LedgerService | (() => LedgerService | undefined)
  /** Runs an effect to its end; rejects with what nobody expected. */
  readonly run: <A>(effect: Effect.Effect<A>) => Promise<A>
  readonly nodeId: string
  readonly engine: EngineClientService
  /** Who asks, for the log: a certificate's or token's name, or `local` on the unix socket. */
  readonly who: (request: Request) => string
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  readonly fresh: Fresh
  readonly newToken: (role: "worker" | "manager") => string
  readonly newUnlockKey: () => string
  /** An active manager unless told otherwise. */
  readonly membership?: () => Membership
  /** See `Gateway.problem`. */
  readonly problem?: string
  readonly control?: Partial<MembershipControl>
  /** What every answer of this node carries, the Engine's own half alike. */
  readonly headers?: () => Readonly<Record<string, string>>
  /** Takes a span of each request, below the one that its `traceparent` names; absent where nobody gathers them. */
  readonly tracer?: Tracer.Tracer
  /** Told what broke a request that was answered with 500. */
  readonly onDefect?: (defect: unknown, request: Request) => void
}

const routes: ReadonlyArray<Route> = [
  ...swarmRoutes,
  ...nodeRoutes,
  ...serviceRoutes,
  ...taskRoutes,
  ...networkRoutes,
  ...secretRoutes,
  ...configRoutes,
  ...natsClientRoutes,
  ...volumeRoutes,
  ...distributionRoutes,
  ...whyRoutes
]

const patterns = routes.map(({ method, path }) => ({
  method,
  pattern: new RegExp(`^${path.replace(/:\w+\{\.\+\}/g, ".+").replace(/:\w+/g, "[^/]+")}$`)
}))

/** True when a request is this half's to answer. `path` may carry a version and a query. */
export function owns(method: string, path: string): boolean {
  const { path: plain } = splitVersion(path)
  return patterns.some((route) => route.method === method && route.pattern.test(plain))
}

/** The span is named by the route, of which there are few, and ends with the answer. */
function traced(
  handled: Effect.Effect<Answer>,
  tracer: Tracer.Tracer,
  { method, path }: Route,
  request: Request
): Effect.Effect<Answer> {
  const context = readTraceparent(request.headers.get("traceparent"))
  const parent =
    context && Tracer.externalSpan({ ...context, sampled: (Number.parseInt(context.flags, 16) & 1) === 1 })
  return handled.pipe(
    Effect.tap(({ status }) => Effect.annotateCurrentSpan("http.response.status_code", status)),
    Effect.withSpan(`${method} ${path}`, {
      kind: "server",
      attributes: { "http.request.method": method, "http.route": path },
      ...(parent && { parent })
    }),
    Effect.withTracer(tracer)
  )
}

const pathOf = (url: string): string => {
  const start = url.indexOf("/", url.indexOf("://") + 3)
  return start === -1 ? "/" : url.slice(start)
}

/** The application. Every answer, errors included, has the Engine's headers and the Engine's shape. */
export function makeApp(options: AppOptions): Hono {
  const { ledger, membership, control } = options
  const gateway: Gateway = {
    ledger: typeof ledger === "function" ? ledger : () => ledger,
    membership: membership ?? (() => "active/manager"),
    ...(options.problem === undefined ? {} : { problem: options.problem }),
    control: control ?? {},
    engine: options.engine,
    nodeId: options.nodeId,
    clock: options.clock,
    fresh: options.fresh,
    newToken: options.newToken,
    newUnlockKey: options.newUnlockKey,
    who: options.who
  }

  const newest = (): string => offeredVersion(options.engine.apiVersion())
  const headers =
    options.headers ?? (() => ({ "Api-Version": newest(), "Docker-Experimental": "false", Ostype: "linux" }))
  const respond = (answer: Answer): Response => toResponse(answer, headers())

  const app = new Hono({ getPath: (request) => splitVersion(pathOf(request.url)).path })
  for (const route of routes) {
    app.on(route.method, route.path, async (context) => {
      const request = context.req.raw
      const { version, path } = splitVersion(pathOf(request.url))
      const unwelcome = version === undefined ? undefined : refuseVersion(version, newest())
      if (unwelcome !== undefined) return respond(problem(400, unwelcome))
      const call: Call = {
        request,
        method: route.method,
        path,
        param: (name) => context.req.param(name) ?? "",
        query: new URL(request.url).searchParams,
        version: version ?? newest()
      }
      const handled = route
        .handle(gateway, call)
        .pipe(Effect.catch((error) => Effect.succeed(answerOf(error))))
      const answer = await options.run(
        options.tracer === undefined ? handled : traced(handled, options.tracer, route, request)
      )
      return respond(answer)
    })
  }
  app.notFound(() => respond(problem(404, "page not found")))
  app.onError((defect, context) => {
    options.onDefect?.(defect, context.req.raw)
    return respond(problem(500, `internal error: ${defect.message}`))
  })
  return app
}
