/**
 * The port at which machines ask to become nodes: HTTPS without a client certificate, because they have none yet.
 *
 * It gives out the root certificate and the incarnation, which are no secrets, and takes requests to join and to
 * renew, a few at a time: a guessed token costs its guesser more than it costs us, and costs nobody else anything.
 */
import { createServer } from "node:https"
import { getRequestListener } from "@hono/node-server"
import { getConnInfo } from "@hono/node-server/conninfo"
import { Cause, Effect, Exit, Schedule, Schema, Scope } from "effect"
import { type Context, Hono } from "hono"
import { bodyLimit } from "hono/body-limit"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { JoinRequest, type Membership, RenewRequest, type Standing } from "#actors/authority/protocol.ts"
import { Refused } from "#actors/model/errors.ts"

export class JoinPortError extends Schema.TaggedError<JoinPortError>()("JoinPortError", {
  message: Schema.String
}) {}

/** What a manager shows at its doors; all PEM, `key` is a secret. */
export interface ServerIdentity {
  readonly certificate: string
  readonly key: string
  readonly root: string
}

export interface JoinPortOptions {
  readonly host: string
  readonly port: number
  readonly identity: () => ServerIdentity
  readonly welcome: (request: JoinRequest) => Effect.Effect<Membership, Refused>
  /** For a node whose certificate lets it in nowhere else. */
  readonly reissue: (request: RenewRequest) => Effect.Effect<Membership, Refused>
  /** Which life of the cluster this manager is of, for managers that come back from an earlier one; `member` is who asks. */
  readonly standing: (member: string | undefined) => Standing
}

const longestBodyBytes = 64 * 1024
/** Enough for a rack that starts at once; what is more waits its turn or tries again. */
const atOnce = 16
const refusalsBorne = 10
const refusalsWithinMs = 10_000

const statusOf: Partial<Record<Refused["refusal"]["code"], 400 | 403 | 503>> = {
  forbidden: 403,
  unavailable: 503
}

/** Listens until the scope closes; gives the port, which the machine chose when `port` is 0. */
export const openJoinPort = Effect.fn("authority.openJoinPort")(function* (
  options: JoinPortOptions
): Effect.fn.Return<number, JoinPortError, Scope.Scope> {
  const app = joinApp(options)
  return yield* Effect.acquireRelease(listen(options, app), ({ close }) => close).pipe(
    Effect.map(({ port }) => port)
  )
})

/** Likewise, and listens anew whenever the node shows something else: no runtime changes that under a listener alike. */
export const keepJoinPort = Effect.fn("authority.keepJoinPort")(function* (
  options: JoinPortOptions,
  { follow }: Pick<CredentialsService, "follow">
): Effect.fn.Return<void, JoinPortError, Scope.Scope> {
  const open = Effect.fnUntraced(function* () {
    const door = yield* Scope.make()
    yield* openJoinPort(options).pipe(
      Scope.provide(door),
      Effect.onError(() => Scope.close(door, Exit.void))
    )
    return { door, shown: options.identity().certificate }
  })
  let now = yield* open()
  yield* Effect.addFinalizer(() => Scope.close(now.door, Exit.void))
  yield* follow(() =>
    Effect.gen(function* () {
      if (options.identity().certificate === now.shown) return
      yield* Scope.close(now.door, Exit.void)
      now = yield* open().pipe(Effect.retry(Schedule.spaced("1 second")), Effect.orDie)
    })
  )
})

/** The routes, apart from the socket. */
export function joinApp(
  options: Pick<JoinPortOptions, "identity" | "welcome" | "reissue" | "standing">
): Hono {
  const { identity, welcome, reissue, standing } = options
  const app = new Hono()
  const isBusy = limits()
  app.get("/v1/ca", (context) => context.text(identity().root))
  app.get("/v1/incarnation", (context) => context.json(standing(context.req.query("member"))))
  const grant = async (
    context: Context,
    judge: (body: string) => Effect.Effect<Membership, Refused>
  ): Promise<Response> => {
    // Before anybody waits for it: whoever says nothing more, or hangs up, is in nobody's way.
    const body = await context.req.text().catch(() => undefined)
    if (body === undefined) return context.json({ message: "the request has no end" }, 400)
    const visit = isBusy.enter(getConnInfo(context).remote.address ?? "", Date.now())
    if (visit === undefined) {
      return context.json({ message: "too many join requests: try again in a few seconds" }, 429)
    }
    const exit = await Effect.runPromiseExit(judge(body))
    visit(Exit.isSuccess(exit), Date.now())
    if (Exit.isSuccess(exit)) return context.json(exit.value)
    const error = Cause.squash(exit.cause)
    if (error instanceof Refused) {
      return context.json({ message: error.message }, statusOf[error.refusal.code] ?? 400)
    }
    console.error("a join request failed", error)
    return context.json({ message: "the join request failed; the manager's log says why" }, 500)
  }
  const limit = bodyLimit({ maxSize: longestBodyBytes })
  app.post("/v1/join", limit, (context) =>
    grant(context, (body) => Effect.flatMap(decode(JoinRequest, "join request", body), welcome))
  )
  app.post("/v1/renew", limit, (context) =>
    grant(context, (body) => Effect.flatMap(decode(RenewRequest, "renewal", body), reissue))
  )
  app.notFound((context) => context.json({ message: "page not found" }, 404))
  return app
}

const decode = <A>(schema: Schema.Codec<A, unknown>, what: string, body: string): Effect.Effect<A, Refused> =>
  Effect.try({ try: (): unknown => JSON.parse(body), catch: (error) => error as Error }).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(schema)),
    Effect.mapError(({ message }) => Refused.of({ code: "invalidArgument", message: `${what}: ${message}` }))
  )

/** Lets some in at once, and for a while none from where many were refused. */
function limits() {
  let inside = 0
  /** By address, the one that was refused last at the end. */
  const refusals = new Map<string, ReadonlyArray<number>>()
  const recent = (from: string, now: number): ReadonlyArray<number> =>
    (refusals.get(from) ?? []).filter((at) => at > now - refusalsWithinMs)
  const refused = (from: string, now: number): void => {
    const times = [...recent(from, now), now]
    refusals.delete(from)
    refusals.set(from, times)
    for (const other of refusals.keys()) {
      if (recent(other, now).length > 0) break
      refusals.delete(other)
    }
  }
  return {
    enter: (from: string, now: number): ((welcome: boolean, now: number) => void) | undefined => {
      if (inside >= atOnce || recent(from, now).length >= refusalsBorne) return undefined
      inside += 1
      return (welcome, at) => {
        inside -= 1
        if (!welcome) refused(from, at)
      }
    }
  }
}

interface Listening {
  readonly port: number
  readonly close: Effect.Effect<void>
}

const listen = (
  { host, port, identity }: JoinPortOptions,
  app: Hono
): Effect.Effect<Listening, JoinPortError> =>
  Effect.callback((resume) => {
    const { certificate, key } = identity()
    const server = createServer(
      { cert: certificate, key, minVersion: "TLSv1.2" },
      getRequestListener(app.fetch, { overrideGlobalObjects: false })
    )
    server.requestTimeout = 10_000
    server.headersTimeout = 5_000
    server.once("error", (error) =>
      resume(
        Effect.fail(
          new JoinPortError({
            message: `Cannot listen for joining nodes at ${host}:${port}: ${error.message}`
          })
        )
      )
    )
    server.listen(port, host, () => {
      const address = server.address()
      resume(
        Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : port,
          close: Effect.callback<void>((closed) => {
            server.close(() => closed(Effect.void))
            server.closeAllConnections()
          })
        })
      )
    })
  })
