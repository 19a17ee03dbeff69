/** How a client of NATS is set up: where the servers are, who it is, and what the client library is told. */
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
  type TlsOptions
} from "nats"
import type { Host } from "#runtime/host.ts"

export interface NatsOptions {
  /** `nats://host:port` each. With `inOrder` the first one is home. */
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
  /**
   * Try the servers in the given order, and come back to the first whenever it takes connections again: as a manager
   * does, whose own server is the nearest one and dies with it.
   */
  readonly inOrder?: boolean
  readonly host?: Host
  /** Bytes that may wait to be sent before more is refused. Default 32 MiB. */
  readonly bufferBytes?: number
}

export const inboxOf = (options: NatsOptions): string => options.inboxPrefix ?? `_INBOX.${options.nodeId}`

/** `host:port` of a server's URL, as the client itself names servers. */
export const hostPortOf = (url: string): string => url.replace(/^[a-z]+:\/\//i, "").replace(/\/$/, "")

/**
 * What measurements came to; test/bench/nats-failover.ts takes them again. A server that died is left in
 * milliseconds, because the next one is dialled at once.
 */
function connectionOptions(options: NatsOptions, servers: ReadonlyArray<string>): ConnectionOptions {
  return {
    servers: [...servers],
    name: options.name ?? options.nodeId,
    inboxPrefix: inboxOf(options),
    reconnectTimeWait: 50,
    reconnectJitter: 25,
    reconnectJitterTLS: 25,
    maxReconnectAttempts: -1,
    // A frozen server takes connections and then says nothing.
    timeout: 1_000,
    // `NatsLine` finds out frozen servers itself: the client's own way hangs while its buffer is full.
    pingInterval: 30_000,
    maxPingOut: 2,
    // A node tells itself things over NATS too, when it is leader and worker at once.
    noEcho: false,
    noAsyncTraces: true,
    // Credentials may be renewed on the server a moment after we tried.
    ignoreAuthErrorAbort: true,
    // The addresses are ours to know; servers behind NAT gossip ones that lead nowhere.
    ignoreClusterUpdates: true,
    // The order is ours, too.
    noRandomize: true,
    ...(options.user !== undefined && { user: options.user }),
    ...(options.password !== undefined && { pass: options.password }),
    ...(options.creds && { authenticator: credsAuthenticator(options.creds) }),
    ...(options.seed && { authenticator: nkeyAuthenticator(new TextEncoder().encode(options.seed)) }),
    ...(options.tls && { tls: options.tls })
  }
}

/** Tries each of `servers` once; rejects with the last one's reason. */
export const dial = (options: NatsOptions, servers: ReadonlyArray<string>): Promise<NatsConnection> =>
  connect(connectionOptions(options, servers))
