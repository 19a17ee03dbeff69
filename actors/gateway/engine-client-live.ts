/**
 * The connection to the node's own Engine: questions with decoded answers, streams, and what the Engine last said
 * of itself.
 *
 * One quiet `/events` request is held open all the time. Its end is how we know within milliseconds that the Engine
 * went away; then we ask until it answers again, and learn its API version anew, because it may have been upgraded.
 */
import { Buffer } from "node:buffer"
import http, { type IncomingMessage } from "node:http"
import { Effect, type Scope } from "effect"
import { cannotConnect, connectOptions, type EngineAddress } from "#actors/drivers/engine/address.ts"
import {
  type EngineAnswer,
  type EngineClientService,
  EngineUnreachable
} from "#actors/gateway/engine-client.ts"

/** What an Engine's `/_ping` says in headers. */
export interface EngineFacts {
  /** Its newest API version, `1.41`. */
  readonly apiVersion: string
  /** `Docker/20.10.24 (linux)`. */
  readonly server: string
  readonly osType: string
  readonly experimental: string
  /** The builder it prefers; absent on Engines that do not say. */
  readonly builderVersion?: string
}

export interface EngineLink extends EngineClientService {
  readonly address: EngineAddress | undefined
  /** As of the last connection; stays while the Engine is away. */
  readonly facts: () => EngineFacts | undefined
  readonly isConnected: () => boolean
  /** Told at each connection from now on, after the facts are fresh. */
  readonly onConnected: (listen: () => void) => { readonly unsubscribe: () => void }
  /**
   * Opens a GET whose answer streams, once its head is here; whatever the status. `url` is path and query as sent.
   * The connection ends with the scope.
   */
  readonly open: (url: string) => Effect.Effect<IncomingMessage, EngineUnreachable, Scope.Scope>
}

// An answer that is gathered in memory; the longest that we ask for are lists of containers and networks.
const longestAnswer = 256 * 1024 * 1024
const firstRetryMs = 50
const lastRetryMs = 2_000

/** The link to the Engine at `address`, after the first attempt to reach it; it never fails, only waits. */
export const connectEngine = Effect.fn("gateway.connectEngine")(function* (
  address: EngineAddress | undefined
): Effect.fn.Return<EngineLink, never, Scope.Scope> {
  let facts: EngineFacts | undefined
  let connected = false
  const listeners = new Set<() => void>()

  const open: EngineLink["open"] = (url) =>
    Effect.acquireRelease(
      request(address, "GET", url, {}, undefined).pipe(
        // A stream that breaks off later ends; whoever reads it sees `close`.
        Effect.tap((incoming) => Effect.sync(() => incoming.on("error", () => {})))
      ),
      (incoming) => Effect.sync(() => incoming.destroy()),
      { interruptible: true }
    )

  const call: EngineLink["call"] = (method, path, body, headers = {}) =>
    Effect.gen(function* () {
      const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
      const incoming = yield* request(address, method, path, headers, sent)
      return yield* gather(address, incoming)
    })

  const ping = call("GET", "/_ping").pipe(
    Effect.filterOrFail(
      (answer) => answer.status === 200 && answer.headers["api-version"] !== undefined,
      (answer) =>
        new EngineUnreachable({ message: `Cannot learn the Engine's API version: status ${answer.status}` })
    ),
    Effect.timeout("5 seconds"),
    Effect.map(
      ({ headers }): EngineFacts => ({
        apiVersion: headers["api-version"] as string,
        server: headers.server ?? "Docker (linux)",
        osType: headers.ostype ?? "linux",
        experimental: headers["docker-experimental"] ?? "false",
        ...(headers["builder-version"] === undefined ? {} : { builderVersion: headers["builder-version"] })
      })
    )
  )

  /** Completes when the Engine is gone. */
  const hold = Effect.scoped(
    open(`/events?filters=${encodeURIComponent('{"type":{"daemon":true}}')}`).pipe(
      Effect.flatMap(untilClosed)
    )
  )

  const attempt = ping.pipe(
    Effect.map((learnt) => {
      facts = learnt
      connected = true
      for (const listen of listeners) listen()
      return true
    }),
    Effect.catch(() => Effect.succeed(false))
  )

  if (address !== undefined) {
    let reached = yield* attempt
    yield* Effect.forkScoped(
      Effect.gen(function* () {
        let waitMs = firstRetryMs
        while (true) {
          if (reached) {
            waitMs = firstRetryMs
            yield* Effect.ignore(hold)
            connected = false
          }
          yield* Effect.sleep(waitMs)
          waitMs = Math.min(waitMs * 2, lastRetryMs)
          reached = yield* attempt
        }
      })
    )
  }

  return {
    address,
    call,
    open,
    facts: () => facts,
    apiVersion: () => facts?.apiVersion,
    isConnected: () => connected,
    onConnected: (listen) => {
      listeners.add(listen)
      return { unsubscribe: () => void listeners.delete(listen) }
    }
  }
})

/** One request, until the head of its answer. Interrupting it ends the connection. */
const request = (
  address: EngineAddress | undefined,
  method: string,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | undefined
): Effect.Effect<IncomingMessage, EngineUnreachable> =>
  Effect.callback((resume) => {
    const unreachable = (cause?: Error): Effect.Effect<never, EngineUnreachable> =>
      Effect.fail(
        new EngineUnreachable({
          message:
            cause === undefined ? cannotConnect(address) : `${cannotConnect(address)} (${cause.message})`
        })
      )
    if (address === undefined) {
      resume(unreachable())
      return
    }
    const outgoing = http.request({
      ...connectOptions(address),
      method,
      path: url,
      agent: new http.Agent({ keepAlive: false }),
      headers: {
        Host: "docker",
        ...(body === undefined
          ? method === "POST"
            ? { "Content-Length": "0" }
            : {}
          : { "Content-Type": "application/json", "Content-Length": String(body.length) }),
        ...headers
      }
    })
    outgoing.on("response", (incoming) => resume(Effect.succeed(incoming)))
    outgoing.on("error", (cause) => resume(unreachable(cause)))
    outgoing.end(body)
    return Effect.sync(() => outgoing.destroy())
  })

/** Reads the whole answer and decodes it by its type. */
const gather = (
  address: EngineAddress | undefined,
  incoming: IncomingMessage
): Effect.Effect<EngineAnswer, EngineUnreachable> =>
  Effect.callback((resume) => {
    const parts: Array<Buffer> = []
    let size = 0
    const broken = (): void =>
      resume(
        Effect.fail(new EngineUnreachable({ message: `${cannotConnect(address)} (its answer broke off)` }))
      )
    incoming.on("data", (part: Buffer) => {
      parts.push(part)
      size += part.length
      if (size > longestAnswer) incoming.destroy()
    })
    incoming.on("error", broken)
    incoming.on("aborted", broken)
    incoming.on("close", broken)
    incoming.on("end", () => {
      const headers: Record<string, string> = {}
      for (const [name, value] of Object.entries(incoming.headers)) {
        if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value
      }
      resume(
        Effect.succeed({
          status: incoming.statusCode ?? 0,
          headers,
          body: decode(headers, Buffer.concat(parts))
        })
      )
    })
    return Effect.sync(() => incoming.destroy())
  })

function decode(headers: Readonly<Record<string, string>>, body: Buffer): unknown {
  if (body.length === 0) return undefined
  const text = body.toString("utf8")
  if (!/json/i.test(headers["content-type"] ?? "")) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Completes when a streaming answer has ended, however it did. */
const untilClosed = (incoming: IncomingMessage): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const ended = (): void => resume(Effect.void)
    incoming.on("end", ended)
    incoming.on("close", ended)
    incoming.on("error", ended)
    incoming.on("aborted", ended)
    incoming.resume()
  })
