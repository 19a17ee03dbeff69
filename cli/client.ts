/** The Engine API over a unix socket, as the `troupe` command asks it. */
import http from "node:http"
import process from "node:process"
import { Effect, Option, Schema } from "effect"
import { Flag } from "effect/cli"
import type { InName } from "#actors/gateway/dashboard/stacks.ts"
import { usualDataDir, usualSocketOf } from "#cli/places.ts"

export class ApiError extends Schema.TaggedError<ApiError>()("ApiError", {
  status: Schema.Int,
  message: Schema.String
}) {}

const socketText = Flag.String("socket").pipe(Flag.withDescription("unix socket of a node [TROUPE_SOCKET]"))
const { TROUPE_SOCKET, TROUPE_DATA_DIR, DOCKER_HOST = "" } = process.env

/** For commands that find the socket by the data directory where nobody says which. */
export const socketIfGiven = socketText.pipe(
  Flag.optional,
  Flag.map(Option.orElse(() => Option.fromUndefinedOr(TROUPE_SOCKET)))
)

/** Where nobody says which, the node that the docker CLI speaks to, else the usual one. */
export const socketFlag = socketIfGiven.pipe(
  Flag.mapEffect(
    Option.match({
      onSome: Effect.succeed,
      onNone: () =>
        Effect.map(
          nodeOfDocker(DOCKER_HOST),
          (socket) => socket ?? usualSocketOf(TROUPE_DATA_DIR ?? usualDataDir)
        )
    })
  )
)

/** The socket that `DOCKER_HOST` names, where a node answers at it; an Engine does not know this path. */
function nodeOfDocker(dockerHost: string): Effect.Effect<string | undefined> {
  const socket = /^unix:\/\/(.+)$/.exec(dockerHost)?.[1]
  if (socket === undefined) return Effect.succeed(undefined)
  return call({ target: { socketPath: socket }, place: socket, headers: {} }, "HEAD", "/network").pipe(
    Effect.match({
      onSuccess: () => socket,
      onFailure: ({ status }) => (status === 0 || status === 404 ? undefined : socket)
    })
  )
}

/** One GET, its JSON answer. Fails with the API's own message, or with why the socket does not answer. */
export const get = <A>(socket: string, path: string): Effect.Effect<A, ApiError> => apiAt(socket).get(path)

/** One POST of JSON, answered and failing as `get` is. */
export const post = <A>(socket: string, path: string, body: unknown): Effect.Effect<A, ApiError> =>
  apiAt(socket).post(path, body)

/** One DELETE, answered and failing as `get` is. */
export const remove = (socket: string, path: string): Effect.Effect<void, ApiError> =>
  apiAt(socket).remove(path)

/** An answer that refuses, as the Engine API does: in `message`, or else in its whole text. */
export function refusedWith(status: number | undefined, body: string): ApiError {
  const failure = (message: string) => new ApiError({ status: status ?? 500, message })
  try {
    return failure(String((JSON.parse(body) as { message?: unknown }).message ?? body))
  } catch {
    return failure(body || `HTTP ${status}`)
  }
}

/** Nobody answered at `place`, and why. */
export const unreached = (place: string, { code, message }: NodeJS.ErrnoException): ApiError =>
  new ApiError({
    status: 0,
    message: `Cannot reach a Troupe node at ${place}: ${code ?? message}. Does one run, with this --socket?`
  })

/** The Engine API, however it is reached. */
export interface Api {
  readonly get: <A>(path: string) => Effect.Effect<A, ApiError>
  readonly post: <A>(path: string, body: unknown) => Effect.Effect<A, ApiError>
  readonly remove: (path: string) => Effect.Effect<void, ApiError>
}

/** Where requests go, as people know that place, and in whose name. */
interface Door {
  readonly target: Pick<http.RequestOptions, "socketPath" | "host" | "port">
  readonly place: string
  readonly headers: InName["headers"]
}

const apiOver = (door: Door): Api => ({
  get: (path) => call(door, "GET", path),
  post: (path, body) => call(door, "POST", path, JSON.stringify(body)),
  remove: (path) => call(door, "DELETE", path)
})

export const apiAt = (socket: string): Api =>
  apiOver({ target: { socketPath: socket }, place: socket, headers: {} })

/** What this manager knows by itself, also where nobody leads; it may be behind. */
export const staleApiAt = (socket: string): Api =>
  apiOver({ target: { socketPath: socket }, place: socket, headers: { "Troupe-Stale": "allowed" } })

/** Nobody leads, as this manager hears. */
export const isLeaderless = ({ message }: ApiError): boolean => message.includes("does not have a leader")

/** Asked at an HTTP door, in the name of whoever these headers are from. */
export function apiBy({ url, headers }: InName): Api {
  const { hostname, port } = new URL(url)
  return apiOver({ target: { host: hostname.replace(/^\[|\]$/g, ""), port }, place: url, headers })
}

const call = <A>(
  { target, place, headers: as }: Door,
  method: string,
  path: string,
  body?: string
): Effect.Effect<A, ApiError> =>
  Effect.callback<A, ApiError>((resume) => {
    const fail = (status: number, message: string) => resume(Effect.fail(new ApiError({ status, message })))
    const headers = body === undefined ? as : { ...as, "content-type": "application/json" }
    const options = { ...target, method, path, headers, timeout: 10_000 }
    const request = http.request(options, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString()
        const status = response.statusCode ?? 0
        try {
          const body: unknown = text === "" ? undefined : JSON.parse(text)
          if (status < 300) resume(Effect.succeed(body as A))
          else fail(status, (body as { message?: string } | undefined)?.message ?? `HTTP ${status}`)
        } catch {
          fail(status, `${path} answered something that is not JSON`)
        }
      })
    })
    request.on("timeout", () => request.destroy(new Error("no answer within 10 s")))
    request.on("error", (cause) => resume(Effect.fail(unreached(place, cause))))
    request.end(body)
    return Effect.sync(() => request.destroy())
  })
