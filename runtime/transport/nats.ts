/**
 * The transport over NATS. The client reconnects for ever by itself; what is said meanwhile is refused, not queued.
 *
 * Requests go through one inbox subscription of our own rather than the client's: no promise and no timer each, and
 * plain code can ask without Effect.
 */
import { Effect, Schedule, type Scope } from "effect"
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type Msg,
  type NatsConnection,
  nkeyAuthenticator,
  type TlsOptions
} from "nats"
import { isToken } from "#runtime/address.ts"
import { assert } from "#runtime/assert.ts"
import { Deadlines } from "#runtime/deadlines.ts"
import type { Host } from "#runtime/host.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { decodeHeaders, encodeHeaders } from "#runtime/transport/nats-headers.ts"
import { notHere, requestWith, timedOut, tooLarge, unreachable } from "#runtime/transport/outcomes.ts"
import type {
  CallOutcome,
  Delivery,
  Headers,
  Subscription,
  TransportService,
  TransportStatus
} from "#runtime/transport.ts"

export interface NatsOptions {
  readonly servers: ReadonlyArray<string>
  /** Answers come to `_INBOX.<nodeId>.…`, the only inbox that this client may subscribe to. */
  readonly nodeId: string
  readonly user?: string
  readonly password?: string
  /** The contents of a `.creds` file: a user JWT and its key. */
  readonly creds?: Uint8Array
  /** An nkey seed, `SU…`; proves a public key without sending a secret. */
  readonly seed?: string
  /** Where answers come to instead, for a client that is not a node. */
  readonly inboxPrefix?: string
  readonly tls?: TlsOptions
  /** What the server's own monitoring calls this connection. */
  readonly name?: string
  /** Try the servers in the given order, as a manager does that prefers its own. */
  readonly inOrder?: boolean
  readonly host?: Host
}

interface Call {
  readonly subject: string
  readonly withinMs: number
  readonly deadline: number
  readonly done: (outcome: CallOutcome) => void
}

/** First attempts fail while nats-server still starts; they come often, and cost a refused connection each. */
const firstConnect = Schedule.spaced("100 millis")
/** NATS's default, until the server has said what it takes. */
const usualMaxPayload = 1_048_576
/** What is still in the socket's buffer when the scope closes gets this long. */
const flushWithinMs = 500

/** Connects, trying for ever, and serves until the scope closes. */
export const natsTransport: (options: NatsOptions) => Effect.Effect<TransportService, never, Scope.Scope> =
  Effect.fnUntraced(function* (options: NatsOptions) {
    let lastProblem = ""
    const connected = connectOnce(options).pipe(
      Effect.tapError((error) => {
        if (error.message === lastProblem) return Effect.void
        lastProblem = error.message
        return Effect.logWarning(`Cannot connect to NATS at ${options.servers.join(", ")}: ${error.message}`)
      }),
      Effect.retry(firstConnect),
      Effect.orDie
    )
    const transport = yield* Effect.acquireRelease(
      Effect.interruptible(connected).pipe(
        Effect.map((connection) => new NatsTransport(connection, options.host ?? makeLiveHost(), options))
      ),
      (open) => Effect.promise(() => open.close())
    )
    return transport
  })

/** What measurements came to: a dead server costs 0.2 s, a frozen one 2.4 s. */
function connectionOptions(options: NatsOptions): ConnectionOptions {
  return {
    servers: [...options.servers],
    name: options.name ?? options.nodeId,
    inboxPrefix: options.inboxPrefix ?? `_INBOX.${options.nodeId}`,
    reconnectTimeWait: 50,
    reconnectJitter: 25,
    reconnectJitterTLS: 25,
    maxReconnectAttempts: -1,
    timeout: 1_000,
    pingInterval: 1_000,
    maxPingOut: 2,
    // A node tells itself things over NATS too, when it is leader and worker at once.
    noEcho: false,
    noAsyncTraces: true,
    // Credentials may be renewed on the server a moment after we tried.
    ignoreAuthErrorAbort: true,
    // The addresses are ours to know; servers behind NAT gossip ones that lead nowhere.
    ignoreClusterUpdates: true,
    ...(options.inOrder && { noRandomize: true }),
    ...(options.user !== undefined && { user: options.user }),
    ...(options.password !== undefined && { pass: options.password }),
    ...(options.creds && { authenticator: credsAuthenticator(options.creds) }),
    ...(options.seed && { authenticator: nkeyAuthenticator(new TextEncoder().encode(options.seed)) }),
    ...(options.tls && { tls: options.tls })
  }
}

/** One attempt; interrupted, it closes what comes too late. */
const connectOnce = (options: NatsOptions): Effect.Effect<NatsConnection, Error> =>
  Effect.callback((resume) => {
    let wanted = true
    connect(connectionOptions(options)).then(
      (connection) => {
        if (wanted) resume(Effect.succeed(connection))
        else void connection.close()
      },
      (error) => resume(Effect.fail(error instanceof Error ? error : new Error(String(error))))
    )
    return Effect.sync(() => {
      wanted = false
    })
  })

class NatsTransport implements TransportService {
  readonly #connection: NatsConnection
  readonly #host: Host
  readonly #listeners = new Set<(status: TransportStatus) => void>()
  readonly #calls = new Map<string, Call>()
  readonly #deadlines: Deadlines<string>
  readonly #inbox: string
  #connected = true
  #closing = false
  #maxPayload = usualMaxPayload
  #count = 0

  constructor(connection: NatsConnection, host: Host, options: NatsOptions) {
    assert(isToken(options.nodeId), "a node id is a token")
    this.#connection = connection
    this.#host = host
    this.#deadlines = new Deadlines(host, (token) => this.#expire(token))
    const boot = Math.floor(host.random() * 2 ** 32).toString(36)
    this.#inbox = `${options.inboxPrefix ?? `_INBOX.${options.nodeId}`}.${boot}`
    this.#learn()
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => (error ? this.#problem(error) : this.#answered(message))
    })
    void this.#followStatus()
  }

  isConnected = (): boolean => this.#connected

  maxPayload = (): number => this.#maxPayload

  publish = (subject: string, headers: Headers, body: Uint8Array): void => {
    this.#send(subject, headers, body, undefined)
  }

  subscribe = (
    pattern: string,
    options: { readonly queue?: string },
    deliver: (delivery: Delivery) => void
  ): Subscription => {
    const subscription = this.#connection.subscribe(pattern, {
      ...(options.queue !== undefined && { queue: options.queue }),
      callback: (error, message) => {
        if (error) return this.#problem(error)
        // An exception here would end the client's reader, and with it every subscription.
        try {
          deliver(this.#toDelivery(message))
        } catch (thrown) {
          this.#problem(thrown)
        }
      }
    })
    return { unsubscribe: () => subscription.unsubscribe() }
  }

  call: TransportService["call"] = (subject, headers, body, withinMs, done) => {
    const token = (this.#count++).toString(36)
    const deadline = this.#host.now() + withinMs
    const call: Call = { subject, withinMs, deadline, done }
    this.#calls.set(token, call)
    if (this.#connected) {
      try {
        this.#send(subject, headers, body, `${this.#inbox}.${token}`)
      } catch (error) {
        this.#calls.delete(token)
        throw error
      }
      this.#deadlines.add(token, deadline)
    } else {
      this.#host.defer(() => this.#take(token)?.done(unreachable(subject, "NATS is disconnected")))
    }
    return () => this.#take(token)
  }

  request: TransportService["request"] = (subject, headers, body, withinMs) =>
    requestWith(this.call, subject, headers, body, withinMs)

  onStatus = (listen: (status: TransportStatus) => void): Subscription => {
    this.#listeners.add(listen)
    return { unsubscribe: () => this.#listeners.delete(listen) }
  }

  /** Sends out what is still in the buffer, then closes. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#connected) {
      let cancel = (): void => {}
      const enough = new Promise<void>((resolve) => {
        cancel = this.#host.after(flushWithinMs, resolve)
      })
      await Promise.race([this.#connection.flush().catch(() => {}), enough])
      cancel()
    }
    this.#connected = false
    await this.#connection.close().catch(() => {})
  }

  #send(subject: string, headers: Headers, body: Uint8Array, reply: string | undefined): void {
    if (!this.#connected) throw unreachable(subject, "NATS is disconnected")
    const encoded = encodeHeaders(headers)
    const bytes = body.length + (encoded?.bytes ?? 0)
    if (bytes > this.#maxPayload) throw tooLarge(subject, bytes, this.#maxPayload)
    try {
      this.#connection.publish(subject, body, {
        ...(reply !== undefined && { reply }),
        ...(encoded && { headers: encoded.carried })
      })
    } catch (error) {
      if (this.#connection.isClosed()) throw unreachable(subject, "the connection to NATS is closed")
      throw error
    }
  }

  #answered(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length + 1)
    const call = this.#take(token)
    if (!call) return
    // The server itself answers so when nobody subscribes to the subject.
    const nobody = message.data.length === 0 && message.headers?.code === 503
    try {
      if (nobody) call.done(notHere(call.subject))
      else call.done({ subject: call.subject, headers: decodeHeaders(message), body: message.data })
    } catch (thrown) {
      this.#problem(thrown)
    }
  }

  #take(token: string): Call | undefined {
    const call = this.#calls.get(token)
    if (!call) return undefined
    this.#calls.delete(token)
    this.#deadlines.remove(token, call.deadline)
    return call
  }

  #expire(token: string): void {
    const call = this.#calls.get(token)
    this.#calls.delete(token)
    call?.done(timedOut(call.subject, call.withinMs))
  }

  #toDelivery(message: Msg): Delivery {
    const { reply } = message
    const { subject, data: body } = message
    const headers = decodeHeaders(message)
    if (!reply) return { subject, headers, body }
    let answered = false
    return {
      subject,
      headers,
      body,
      respond: (replyHeaders, replyBody) => {
        if (answered) return
        this.#send(reply, replyHeaders, replyBody, undefined)
        answered = true
      }
    }
  }

  async #followStatus(): Promise<void> {
    for await (const status of this.#connection.status()) {
      switch (status.type) {
        case "disconnect":
          if (this.#connected && !this.#closing) {
            this.#connected = false
            this.#tell({ _tag: "Disconnected" })
          }
          break
        case "reconnect":
          this.#connected = !this.#closing
          this.#learn()
          this.#tell({ _tag: "Connected", server: status.server })
          break
        case "error":
          this.#problem(status.error)
          break
      }
    }
    if (this.#closing) return
    this.#connected = false
    this.#tell({ _tag: "Disconnected" })
    const error = await this.#connection.closed()
    this.#problem(error ?? new Error("the connection to NATS has ended for good"))
  }

  #learn(): void {
    this.#maxPayload = this.#connection.info?.max_payload ?? this.#maxPayload
  }

  #problem(error: unknown): void {
    this.#tell({ _tag: "Problem", message: error instanceof Error ? error.message : String(error) })
  }

  #tell(status: TransportStatus): void {
    for (const listen of [...this.#listeners]) listen(status)
  }
}
