/**
 * The joining node's side: learn the cluster's root certificate, check it by the token, and only then say the token.
 *
 * Texts are Swarm's where a script could depend on them.
 */
import { request as httpsRequest } from "node:https"
import { Clock, Effect, Schema } from "effect"
import { digestOf, parseJoinToken } from "#actors/authority/join-token.ts"
import { type JoinRequest, Membership, type RenewRequest, Standing } from "#actors/authority/protocol.ts"
import { toIso } from "#actors/model/time.ts"

/** Joining failed. `final`: trying again with the same address and token will not help. */
export class JoinError extends Schema.TaggedError<JoinError>()("JoinError", {
  message: Schema.String,
  final: Schema.Boolean
}) {}

const fail = (message: string, final: boolean): JoinError => new JoinError({ message, final })

/** Managers name their role in their certificates: nobody else of the cluster can stand in for one. */
const managerName = "swarm-manager"
const answerWithinMs = 10_000
const longestAnswerBytes = 1024 * 1024

interface Answer {
  readonly status: number
  readonly body: string
  /** What the manager's clock shows, as HTTP says it. */
  readonly date: string | undefined
}

/** Why a certificate does not count, where clocks may be the reason. */
const untimely: Readonly<Record<string, string>> = {
  CERT_NOT_YET_VALID: "is not yet valid",
  CERT_HAS_EXPIRED: "has expired"
}
const clocksAgreeMs = 60_000

/** One request to the manager at `address` (`host:port`). Without `root` nothing is checked, and nothing secret is sent. */
const ask = (
  address: string,
  path: string,
  options: { readonly root?: string; readonly body?: string; readonly withinMs?: number }
): Effect.Effect<Answer, JoinError> => {
  const { withinMs = answerWithinMs } = options
  const unreached = (why: string): JoinError => fail(`Cannot reach the manager at ${address}: ${why}`, false)
  return Effect.callback<Answer, JoinError>((resume) => {
    const url = URL.canParse(`https://${address}${path}`) ? new URL(`https://${address}${path}`) : undefined
    if (url === undefined || url.port === "") {
      resume(Effect.fail(fail(`join address '${address}': expected host:port`, true)))
      return
    }
    const request = httpsRequest(
      url,
      {
        method: options.body === undefined ? "GET" : "POST",
        agent: false,
        ...(options.root === undefined
          ? { rejectUnauthorized: false }
          : { ca: options.root, servername: managerName }),
        ...(options.body !== undefined && { headers: { "Content-Type": "application/json" } })
      },
      (response) => {
        const parts: Array<Buffer> = []
        let size = 0
        response.on("data", (part: Buffer) => {
          size += part.length
          if (size > longestAnswerBytes) request.destroy(new Error("the answer is too long"))
          else parts.push(part)
        })
        response.on("error", ({ message }) => resume(Effect.fail(unreached(message))))
        response.on("end", () =>
          resume(
            Effect.succeed({
              status: response.statusCode ?? 0,
              body: Buffer.concat(parts).toString("utf8"),
              date: response.headers.date
            })
          )
        )
      }
    )
    request.on("error", (error: NodeJS.ErrnoException) => {
      const why = untimely[error.code ?? ""]
      resume(
        why === undefined ? Effect.fail(unreached(error.message)) : compareClocks(address, why, withinMs)
      )
    })
    request.end(options.body)
    return Effect.sync(() => request.destroy())
  }).pipe(
    // Of the whole: one that says a byte now and then must not hold up who asks.
    Effect.timeoutOrElse({
      duration: withinMs,
      orElse: () => Effect.fail(unreached(`no answer within ${withinMs} ms`))
    })
  )
}

/** Which clock is wrong is for people to say; nobody has vouched for the manager's. */
const compareClocks = Effect.fn("authority.compareClocks")(function* (
  address: string,
  why: string,
  withinMs: number
): Effect.fn.Return<never, JoinError> {
  const { date } = yield* ask(address, "/v1/ca", { withinMs })
  const [here, there] = [yield* Clock.currentTimeMillis, Date.parse(date ?? "")]
  const shows = Number.isNaN(there) ? "" : `, and the manager's shows ${toIso(there)}`
  const advice = Math.abs(here - there) < clocksAgreeMs ? "" : ": set the clock that is wrong"
  const words = `its certificate ${why} by this machine's clock, which shows ${toIso(here)}${shows}${advice}`
  return yield* Effect.fail(fail(`Cannot reach the manager at ${address}: ${words}`, false))
})

/** The cluster's root certificate, as the manager at `address` shows it and the token's digest confirms it. */
export const fetchRoot = Effect.fn("authority.fetchRoot")(function* (
  address: string,
  token: string
): Effect.fn.Return<string, JoinError> {
  const parsed = parseJoinToken(token)
  if (parsed === undefined) return yield* Effect.fail(fail("invalid join token", true))
  if (parsed.fips) {
    return yield* Effect.fail(fail("node is not FIPS-enabled but cluster requires FIPS", true))
  }
  const { status, body } = yield* ask(address, "/v1/ca", {})
  if (status !== 200) {
    return yield* Effect.fail(
      fail(`Cannot learn the root certificate from ${address}: status ${status}`, false)
    )
  }
  if (digestOf(body) !== parsed.digest) {
    return yield* Effect.fail(fail(`remote CA does not match fingerprint. Expected: ${parsed.digest}`, true))
  }
  return body
})

/** Asks to become a member; the request holds the token, so the root is checked first. */
export const joinCluster = Effect.fn("authority.join")(function* (
  address: string,
  request: JoinRequest
): Effect.fn.Return<Membership, JoinError> {
  const root = yield* fetchRoot(address, request.token)
  return yield* askMembership(address, "/v1/join", root, request)
})

/** Asks for another certificate where no nats-server lets this node in; `root` is the one that it trusts. */
export const renewMembership = (
  address: string,
  root: string,
  request: RenewRequest
): Effect.Effect<Membership, JoinError> => askMembership(address, "/v1/renew", root, request)

const askMembership = Effect.fn("authority.askMembership")(function* (
  address: string,
  path: string,
  root: string,
  request: JoinRequest | RenewRequest
): Effect.fn.Return<Membership, JoinError> {
  const { status, body } = yield* ask(address, path, { root, body: JSON.stringify(request) })
  const answer = yield* Effect.try({
    try: (): unknown => JSON.parse(body),
    catch: () =>
      fail(`The manager at ${address} answered something else than JSON, with status ${status}`, false)
  })
  if (status === 200) {
    return yield* Schema.decodeUnknownEffect(Membership)(answer).pipe(
      Effect.mapError((error) =>
        fail(`The manager at ${address} does not say what a member needs: ${error.message}`, true)
      )
    )
  }
  const said =
    typeof answer === "object" && answer !== null && "message" in answer ? String(answer.message) : body
  return yield* Effect.fail(fail(said, status === 400 || status === 403))
})

const standingWithinMs = 1_000

/**
 * Of which life of the cluster the manager at `address` (`host:port`) is, if it is one of this root and answers, and whether it knows
 * the one called `member`.
 */
export const askStanding = Effect.fn("authority.askStanding")(function* (
  address: string,
  root: string,
  member: string
): Effect.fn.Return<Standing, JoinError> {
  const path = `/v1/incarnation?member=${encodeURIComponent(member)}`
  const { status, body } = yield* ask(address, path, { root, withinMs: standingWithinMs })
  return yield* Effect.try({
    try: () => Schema.decodeUnknownSync(Standing)(status === 200 ? JSON.parse(body) : undefined),
    catch: () => fail(`The manager at ${address} does not say of which incarnation it is`, false)
  })
})
