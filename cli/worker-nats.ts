/** A worker's NATS: no server of its own, a connection to whichever manager's takes it. */
import { Effect, type Scope } from "effect"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { serverOf } from "#actors/authority/peers.ts"
import type { Peer } from "#actors/authority/protocol.ts"
import { isLoopback } from "#actors/gateway/parse-host-port.ts"
import { ownCredentials } from "#actors/nats/creds.ts"
import { followTls, readCreds, renewing, tlsOf } from "#cli/manager-nats.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { type NatsTransportService, natsTransport } from "#runtime/transport/nats.ts"

export interface WorkerNats {
  /** Of one of the servers, for whoever else on this machine wants to connect. */
  readonly url: string
  readonly tls: boolean
  readonly transport: NatsTransportService
  /** A new connection in place of this one. */
  readonly renew: () => void
  /** These are the managers from now on. */
  readonly setManagers: (managers: ReadonlyArray<Peer>) => void
}

export const connectWorker = Effect.fn("cli.connectWorker")(function* (
  options: NodeOptions,
  credentials: CredentialsService
): Effect.fn.Return<WorkerNats, Error, Scope.Scope> {
  const held = credentials.held()
  const { nodeId } = held.membership
  const name = `troupe ${nodeId}`
  if (options.nats !== undefined) {
    const creds = options.natsCreds === undefined ? undefined : yield* readCreds(options.natsCreds)
    const servers = options.nats.split(",")
    const transport = yield* natsTransport({ servers, nodeId, name, ...(creds && { creds }) })
    return { url: options.nats, tls: false, transport, renew: renewing([transport]), setManagers: () => {} }
  }
  // Its own server, if it was a manager until now, has ended with that.
  const managers = othersThan(nodeId, held.membership.managers)
  const [first] = managers
  if (first === undefined) return yield* Effect.fail(new Error("This worker knows no manager to connect to"))
  const { daemon } = yield* ownCredentials(options.dataDir, nodeId)
  // Managers that listen beyond this machine ask for certificates.
  const tls = !isLoopback(first.address)
  const transport = yield* natsTransport({
    servers: managers.map(serverOf),
    nodeId,
    seed: daemon.seed,
    inboxPrefix: daemon.inboxPrefix,
    ...(tls && { tls: tlsOf(held) }),
    name
  })
  if (tls) yield* followTls(credentials, [transport])
  return {
    url: serverOf(first),
    tls,
    transport,
    renew: renewing([transport]),
    setManagers: (now) => {
      const servers = othersThan(nodeId, now).map(serverOf)
      if (servers.length > 0) transport.setServers(servers)
    }
  }
})

const othersThan = (nodeId: string, peers: ReadonlyArray<Peer>): ReadonlyArray<Peer> =>
  peers.filter((peer) => peer.nodeId !== nodeId)
