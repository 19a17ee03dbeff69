/**
 * One Docker Engine, asked through dockerode: the version both sides speak, time limits, cancellation, and the
 * Engine's refusals as `ExecutorError`. Everything else in this folder says what to ask, never how.
 */
import { readFileSync } from "node:fs"
import http, { type IncomingMessage } from "node:http"
import https from "node:https"
import { join } from "node:path"
import process from "node:process"
import type { Duplex } from "node:stream"
import { inspect } from "node:util"
import type Docker from "dockerode"
import { Context, type Duration, Effect, Layer, Schema } from "effect"
import { connectOptions, parseEngineAddress } from "#actors/drivers/engine/address.ts"
import { ExecutorError } from "#actors/drivers/executor.ts"

/** The newest API version this code was written for; an older Engine's own version wins. */
const newestApi = 50

/** Engines answer these at once; only a hung Engine takes longer. */
const quickly: Duration.Input = "30 seconds"

export interface EngineRequest {
  /** What we were doing, for errors: `create web.1.abc`. */
  readonly operation: string
  readonly method: "GET" | "POST" | "DELETE"
  /** Below the version, `/containers/json`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  /** The value of `X-Registry-Auth`. */
  readonly registryAuth?: string | undefined
  /** Statuses beside 2xx that mean "already so". */
  readonly fine?: ReadonlyArray<number>
  /** How long the Engine may take to answer; 30 s unless told, `"forever"` for no limit. */
  readonly within?: Duration.Input | "forever"
}

export interface EngineClientService {
  /** The address as given: `unix:///var/run/docker.sock`. */
  readonly dockerHost: string
  /** The version that requests carry, `1.41`: the lesser of ours and the Engine's. */
  readonly apiVersion: Effect.Effect<string, ExecutorError>
  /** Asks and reads the whole answer as JSON; an answer without a body is `undefined`. */
  readonly call: (request: EngineRequest) => Effect.Effect<unknown, ExecutorError>
  /** Asks and gives the answer's body as it comes; whoever takes it destroys it. */
  readonly open: (request: EngineRequest) => Effect.Effect<IncomingMessage, ExecutorError>
  /** Asks for the connection itself, to be spoken on in both directions; whoever takes it destroys it. */
  readonly hijack: (request: EngineRequest) => Effect.Effect<Duplex, ExecutorError>
}

export class EngineClient extends Context.Service<EngineClient, EngineClientService>()(
  "troupe/actors/drivers/EngineClient"
) {
  /** Connects lazily: building this layer asks nothing of the Engine. Fails when `dockerHost` is no address. */
  static readonly layer = (options: { readonly dockerHost: string }) =>
    Layer.effect(
      EngineClient,
      Effect.gen(function* () {
        // Some fifteen megabytes, which a node without an Engine has no use for.
        const { default: Docker } = yield* Effect.promise(() => import("dockerode"))
        const connected = yield* Effect.try({
          try: () => connect(Docker, options.dockerHost),
          catch: (error) =>
            new ExecutorError({
              operation: "connect",
              temporary: false,
              message: String((error as Error).message)
            })
        })
        yield* Effect.addFinalizer(() => Effect.sync(() => connected.agent.destroy()))
        return makeClient(options.dockerHost, connected.docker)
      })
    )
}

const Version = Schema.Struct({ ApiVersion: Schema.String, MinAPIVersion: Schema.optionalKey(Schema.String) })

function makeClient(dockerHost: string, docker: Docker): EngineClientService {
  // Learned with the first request and again after a lost connection: the Engine may have been replaced.
  let negotiated: string | undefined

  const send = <A = IncomingMessage>(request: EngineRequest, prefix: string, more: object = {}) =>
    Effect.callback<A, ExecutorError>((resume, signal) => {
      const okay: Record<number, boolean> = { 200: true, 201: true, 202: true, 204: true }
      for (const status of request.fine ?? []) okay[status] = true
      docker.modem.dial(
        {
          path: `${prefix}${request.path}?`,
          method: request.method,
          options: { _query: presentOnly(request.query ?? {}), _body: request.body ?? {} },
          ...(request.registryAuth === undefined ? {} : { authconfig: { base64: request.registryAuth } }),
          statusCodes: okay as never,
          // Read by ourselves, also when it is one JSON text: dockerode would wait for ever for the rest of an
          // answer that was cut off.
          isStream: true,
          abortSignal: signal,
          ...more
        } as never,
        (error: unknown, response: unknown) => {
          if (error === null || error === undefined) resume(Effect.succeed(response as A))
          else {
            const refusal = explain(request.operation, dockerHost, error)
            if (refusal.status === undefined) negotiated = undefined
            resume(Effect.fail(refusal))
          }
        }
      )
    }).pipe(limited(request))

  const negotiate = Effect.gen(function* () {
    const text = yield* send({ operation: "version", method: "GET", path: "/version" }, "").pipe(
      Effect.flatMap((response) => collect("version", dockerHost, response))
    )
    const version = yield* Schema.decodeUnknownEffect(Version)(parse(text)).pipe(
      Effect.mapError(() => notUnderstood("version", `what answers at ${dockerHost} is not a Docker Engine`))
    )
    const [least, most] = [minor(version.MinAPIVersion ?? "1.24"), minor(version.ApiVersion)]
    if (least > newestApi) {
      return yield* notUnderstood(
        "version",
        `the Engine at ${dockerHost} speaks API 1.${least} and newer, we speak 1.${newestApi} and older`
      )
    }
    negotiated = `1.${Math.min(most, newestApi)}`
    return negotiated
  })
  const apiVersion = Effect.suspend(() => (negotiated === undefined ? negotiate : Effect.succeed(negotiated)))

  const open = (request: EngineRequest) =>
    Effect.flatMap(apiVersion, (version) => send(request, `/v${version}`))

  return {
    dockerHost,
    apiVersion,
    open,
    hijack: (request) =>
      Effect.flatMap(apiVersion, (version) =>
        send<Duplex>(request, `/v${version}`, { hijack: true, openStdin: true })
      ),
    call: (request) =>
      open(request).pipe(
        Effect.flatMap((response) => collect(request.operation, dockerHost, response)),
        limited(request),
        Effect.map(parse)
      )
  }
}

/** Reads all of an answer; destroys it when interrupted. */
const collect = (operation: string, dockerHost: string, response: IncomingMessage) =>
  Effect.callback<string, ExecutorError>((resume) => {
    const chunks: Array<Buffer> = []
    response.on("data", (chunk: Buffer) => chunks.push(chunk))
    response.on("end", () => resume(Effect.succeed(Buffer.concat(chunks).toString())))
    response.on("error", (error) => resume(Effect.fail(explain(operation, dockerHost, error))))
    response.on("close", () =>
      // Ignored after `end`; without it the answer was cut off.
      resume(Effect.fail(explain(operation, dockerHost, new Error("the connection was closed"))))
    )
    return Effect.sync(() => {
      response.destroy()
    })
  })

const limited =
  (request: EngineRequest) =>
  <A>(effect: Effect.Effect<A, ExecutorError>): Effect.Effect<A, ExecutorError> =>
    request.within === "forever"
      ? effect
      : Effect.timeoutOrElse(effect, {
          duration: request.within ?? quickly,
          orElse: () =>
            Effect.fail(
              new ExecutorError({
                operation: request.operation,
                temporary: true,
                message: "the Engine did not answer in time"
              })
            )
        })

/**
 * What the Engine says of our request rather than of its own condition, though with status 500: asking again
 * changes nothing.
 */
const ourMistake =
  /OCI runtime create failed|executable file not found|exec format error|no such file or directory|permission denied|port is already allocated|address already in use|invalid mount config/i

/** Turns what dockerode fails with into our error. */
export function explain(operation: string, dockerHost: string, error: unknown): ExecutorError {
  const { statusCode, message, code } = error as { statusCode?: number; message?: string; code?: string }
  if (statusCode === undefined) {
    const reason = code === undefined ? (message ?? String(error)) : `${message ?? ""} (${code})`
    return new ExecutorError({
      operation,
      temporary: true,
      message: `Cannot talk to the Docker Engine at ${dockerHost}: ${reason.trim()}`
    })
  }
  // dockerode words it `(HTTP code 404) unexpected - No such container: x `.
  const words = (message ?? "").replace(/^\(HTTP code \d+\) [^-]* - /, "").trim()
  return new ExecutorError({
    operation,
    status: statusCode,
    // 501 is a log driver that cannot be read, or a feature that this Engine lacks.
    temporary: statusCode === 429 || (statusCode >= 500 && statusCode !== 501 && !ourMistake.test(words)),
    message: words === "" ? `the Engine answered ${statusCode}` : words
  })
}

/** The Engine said something we cannot read; asking again would not help. */
const notUnderstood = (operation: string, message: string): ExecutorError =>
  new ExecutorError({ operation, temporary: false, message })

function parse(text: string): unknown {
  const trimmed = text.trim()
  if (trimmed === "") return undefined
  try {
    return JSON.parse(trimmed)
  } catch {
    return trimmed
  }
}

const minor = (version: string): number => Number(version.split(".")[1] ?? 0)

const presentOnly = (query: NonNullable<EngineRequest["query"]>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]))
  )

/** Throws, naming the address and what is expected, when it is none. */
function connect(
  Docker: new (options: Docker.DockerOptions) => Docker,
  dockerHost: string
): { docker: Docker; agent: http.Agent } {
  // dockerode mixes `DOCKER_HOST` into what it is not told; every field is told, so that only `dockerHost` counts.
  const none = { host: undefined, port: undefined, socketPath: undefined, pathPrefix: undefined }
  const address = parseEngineAddress(dockerHost.replace(/^https:/, "tcp:"))
  if (address instanceof Error) throw address
  const secure = dockerHost.startsWith("https:") || Boolean(process.env.DOCKER_TLS_VERIFY)
  if (address._tag === "Unix" || !secure) {
    const agent = unseen(new http.Agent({ keepAlive: true }))
    const docker = new Docker({ ...none, protocol: "http", ...connectOptions(address), agent } as never)
    return { docker, agent }
  }
  // As the docker CLI does: ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH.
  const folder = process.env.DOCKER_CERT_PATH
  const certificates =
    folder === undefined
      ? {}
      : {
          ca: readFileSync(join(folder, "ca.pem")),
          cert: readFileSync(join(folder, "cert.pem")),
          key: readFileSync(join(folder, "key.pem"))
        }
  const agent = unseen(new https.Agent({ keepAlive: true, ...certificates }))
  return {
    docker: new Docker({
      ...none,
      protocol: "https",
      ...connectOptions(address),
      agent,
      ...certificates
    } as never),
    agent
  }
}

/**
 * dockerode prints every request's options for its debug log, also when nobody reads that: with all connections of
 * the agent in them, 9 ms of each request.
 */
function unseen<A extends http.Agent>(agent: A): A {
  return Object.defineProperty(agent, inspect.custom, { value: () => "Agent" })
}
