/** `/_ping`, `/version`, `/info` and `/events`: the Engine's answers, with the cluster's part in them ours. */
import os from "node:os"
import { Cause, Effect, Exit } from "effect"
import { normaliseArchitecture } from "#actors/drivers/engine/translate.ts"
import { answerHeaders, pingHeaders } from "#actors/gateway/answer-headers.ts"
import type { EngineLink } from "#actors/gateway/engine-client-live.ts"
import type { EventFeed } from "#actors/gateway/event-feed.ts"
import { eventsOf } from "#actors/gateway/events-of-history.ts"
import type { Gateway } from "#actors/gateway/gateway.ts"
import { makeHiddenNetworks } from "#actors/gateway/hidden-networks.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { mergeEvents, openEvents } from "#actors/gateway/merge-events.ts"
import { splitVersion } from "#actors/gateway/negotiate.ts"
import { parseEvents } from "#actors/gateway/parse-events.ts"
import { isRefusal, ok, problem, refused, toResponse } from "#actors/gateway/response.ts"
import {
  infoWithoutEngine,
  type MachineFacts,
  type SwarmSource,
  swarmBlock,
  versionBlock
} from "#actors/gateway/shape/info.ts"
import type { HistoryKeeper } from "#actors/history/keeper.ts"
import { runtimeName } from "#runtime/platform.ts"

export interface SystemRoutesOptions {
  readonly gateway: SwarmSource & Pick<Gateway, "clock">
  readonly link: EngineLink
  readonly feed: EventFeed
  /** See `OpenOptions.changes`. */
  readonly changes: () => HistoryKeeper | undefined
  /** Ours, for `/version`. */
  readonly version: string
  /** Ends streams of events. */
  readonly closing: AbortSignal
}

const owned = new Set(["GET /_ping", "HEAD /_ping", "GET /version", "GET /info", "GET /events"])

export function systemRoutes(options: SystemRoutesOptions): RouteSet {
  const { gateway, link, feed, closing } = options
  const hidden = makeHiddenNetworks(link)
  const headers = (): Record<string, string> => answerHeaders(link)
  const asked = (request: Request): string => {
    const url = new URL(request.url)
    return url.pathname + url.search
  }

  const ping = (request: Request): Response =>
    new Response(request.method === "HEAD" ? null : "OK", {
      headers: {
        ...pingHeaders(link, gateway.membership()),
        "Content-Length": request.method === "HEAD" ? "0" : "2"
      }
    })

  const version = (request: Request): Effect.Effect<Response> =>
    link.call("GET", asked(request)).pipe(
      Effect.map(({ status, body }) => (status === 200 ? (body as Record<string, unknown>) : undefined)),
      Effect.catch(() => Effect.succeed(undefined)),
      Effect.map((engine) =>
        toResponse(ok(versionBlock(engine, { version: options.version, runtime: runtimeName() })), headers())
      )
    )

  const info = (request: Request): Effect.Effect<Response> =>
    link.call("GET", asked(request)).pipe(
      Effect.catch(({ message }) =>
        Effect.succeed({ status: 200, body: infoWithoutEngine(gateway.nodeId, machine(), message) })
      ),
      Effect.map(({ status, body }) => {
        if (status !== 200 || typeof body !== "object" || body === null) {
          return toResponse(problem(status, messageOf(body)), headers())
        }
        return toResponse(ok({ ...body, Swarm: swarmBlock(gateway) }), headers())
      })
    )

  const events = (request: Request): Effect.Effect<Response> =>
    Effect.gen(function* () {
      const query = parseEvents(new URL(request.url).searchParams)
      if (isRefusal(query)) return toResponse(refused(query), headers())
      const url = asked(request)
      const first = yield* openEvents(link, url).pipe(Effect.catch(() => Effect.succeed(undefined)))
      if (first !== undefined && first.incoming.statusCode !== 200) {
        // Its own words on what it does not like about the request.
        return yield* Effect.map(link.call("GET", url), ({ status, body }) =>
          toResponse(problem(status, messageOf(body)), headers())
        ).pipe(Effect.catch(({ message }) => Effect.succeed(toResponse(problem(503, message), headers()))))
      }
      const asksForPast = query.sinceMs !== undefined || query.untilMs !== undefined
      const past = asksForPast ? yield* pastOf(options) : []
      const { clock } = gateway
      return new Response(mergeEvents({ link, feed, past, hidden, query, url, first, clock, closing }), {
        headers: { ...headers(), "Content-Type": "application/json" }
      })
    })

  return {
    owns: (method, path) => owned.has(`${method} ${path}`),
    fetch: async (request) => {
      const { path } = splitVersion(new URL(request.url).pathname)
      if (path === "/_ping") return ping(request)
      const answering = path === "/version" ? version : path === "/info" ? info : events
      const exit = await Effect.runPromiseExit(answering(request))
      return Exit.isSuccess(exit) ? exit.value : toResponse(problem(500, Cause.pretty(exit.cause)), headers())
    }
  }
}

/** A manager knows also what was before its process began. */
const pastOf = Effect.fnUntraced(function* ({ changes, feed }: SystemRoutesOptions) {
  const kept = changes()
  if (kept === undefined) return feed.past()
  yield* kept.earlier
  return eventsOf(kept.journal)
})

const messageOf = (body: unknown): string => {
  if (typeof body === "string") return body.trim()
  const message = (body as { readonly message?: unknown } | undefined)?.message
  return typeof message === "string" ? message : "the Docker Engine gave no reason"
}

const machine = (): MachineFacts => ({
  hostname: os.hostname(),
  architecture: normaliseArchitecture(os.arch()),
  cpus: os.cpus().length,
  memoryBytes: os.totalmem(),
  kernel: os.release()
})
