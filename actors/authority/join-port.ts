/**
 * The port at which machines ask to become nodes: HTTPS without a client certificate, because they have none yet.
 *
 * It gives out the root certificate and the incarnation, which are no secrets, and takes join requests, a few at a time: a guessed token
 * costs its guesser more than it costs us.
 */
import { createServer } from "node:https"
import { getRequestListener } from "@hono/node-server"
import { Cause, Effect, Exit, Schema, type Scope } from "effect"
import { Hono } from "hono"
import { bodyLimit } from "hono/body-limit"
import { JoinRequest, type Membership, type Standing } from "#actors/authority/protocol.ts"
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
  /** Asked at each connection, so that a renewed certificate needs no restart. */
  readonly identity: () => ServerIdentity
  readonly welcome: (request: JoinRequest) => Effect.Effect<Membership, Refused>
  /** Which life of the cluster this manager is of, for managers that come back from an earlier one. */
  readonly standing: Standing
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

/** The routes, apart from the socket. */
export function joinApp(options: Pick<JoinPortOptions, "identity" | "welcome" | "standing">): Hono {
  const { identity, welcome, standing } = options
  const app = new Hono()
  const isBusy = limits()
  app.get("/v1/ca", (context) => context.text(identity().root))
  app.get("/v1/incarnation", (context) => context.json(standing))
  app.post("/v1/join", bodyLimit({ maxSize: longestBodyBytes }), async (context) => {
    const visit = isBusy.enter(Date.now())
    if (visit === undefined) {
      return context.json({ message: "too many join requests: try again in a few seconds" }, 429)
    }
    const request = decode(await context.req.text())
    const exit = await Effect.runPromiseExit(
      request instanceof Refused ? Effect.fail(request) : welcome(request)
    )
    visit(Exit.isSuccess(exit), Date.now())
    if (Exit.isSuccess(exit)) return context.json(exit.value)
    const error = Cause.squash(exit.cause)
    if (error instanceof Refused) {
      return context.json({ message: error.message }, statusOf[error.refusal.code] ?? 400)
    }
    console.error("a join request failed", error)
    return context.json({ message: "the join request failed; the manager's log says why" }, 500)
  })
  app.notFound((context) => context.json({ message: "page not found" }, 404))
  return app
}

const decodeRequest = Schema.decodeUnknownResult(JoinRequest)

function decode(body: string): JoinRequest | Refused {
  const refused = (message: string): Refused => Refused.of({ code: "invalidArgument", message })
  try {
    const result = decodeRequest(JSON.parse(body))
    return result._tag === "Success" ? result.success : refused(`join request: ${result.failure.message}`)
  } catch (error) {
    return refused(`join request: ${error instanceof Error ? error.message : error}`)
  }
}

/** Lets some in at once, and nobody for a while after many refusals. */
function limits() {
  let inside = 0
  let refusals: ReadonlyArray<number> = []
  return {
    enter: (now: number): ((welcome: boolean, now: number) => void) | undefined => {
      refusals = refusals.filter((at) => at > now - refusalsWithinMs)
      if (inside >= atOnce || refusals.length >= refusalsBorne) return undefined
      inside += 1
      return (welcome, at) => {
        inside -= 1
        if (!welcome) refusals = [...refusals, at]
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
