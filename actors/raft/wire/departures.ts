/**
 * Hears from nats-servers when a member's connection ends: a killed process is known of within milliseconds, long
 * before its silence would show. https://docs.nats.io/running-a-nats-service/configuration/sys_accounts
 */
import { Schema } from "effect"
import type { NatsWire } from "#actors/raft/wire/nats.ts"
import type { Subscription, TransportService } from "#runtime/transport.ts"
import { decodeBody } from "#runtime/wire.ts"

/** What a member calls its connection for consensus. */
export const connectionName = (raftId: string): string => `raft ${raftId}`
/** And the one for snapshots. */
export const bulkConnectionName = (raftId: string): string => `bulk ${raftId}`

const Advisory = Schema.Struct({
  server: Schema.Struct({ id: Schema.String }),
  client: Schema.Struct({ id: Schema.Int, name: Schema.optionalKey(Schema.String) }),
  reason: Schema.optionalKey(Schema.String)
})
const decode = Schema.decodeUnknownOption(Advisory)

/** One connection of a member, as one of the servers tells of it. */
interface Sighting {
  readonly lane: "raft" | "bulk"
  readonly raftId: string
  /** No other connection has it. */
  readonly connection: string
  /** Why it ended, in nats-server's words. */
  readonly reason: string
}

function sightingIn(body: Uint8Array): Sighting | undefined {
  const parsed = decodeBody(body)
  if (!parsed.ok) return undefined
  const advisory = decode(parsed.message)
  if (advisory._tag === "None") return undefined
  const { server, client, reason = "" } = advisory.value
  const [, lane, raftId] = /^(raft|bulk) (\S+)$/.exec(client.name ?? "") ?? []
  if (raftId === undefined) return undefined
  return { lane: lane as Sighting["lane"], raftId, connection: `${server.id} ${client.id}`, reason }
}

/** What becomes of the connections of a process that ends: the kernel closes them, or resets what was not read. */
const closedByKernel = new Set(["Client Closed", "Read Error", "Write Error"])

interface Ends {
  /** The newest connection that was seen; an older one that ends was only left for it. */
  newest: string | undefined
  /** It has ended, and how a dead process's would. */
  closed: boolean
}

/** Tells `wire` of members that come and go; `system` is a connection of the servers' own account. */
export function followDepartures(
  system: TransportService,
  wire: Pick<NatsWire, "connected" | "disconnected">
): Subscription {
  const known = new Map<string, Ends>()
  const endsOf = (lane: Sighting["lane"], raftId: string): Ends => {
    const name = `${lane} ${raftId}`
    let ends = known.get(name)
    if (ends === undefined) {
      ends = { newest: undefined, closed: false }
      known.set(name, ends)
    }
    return ends
  }
  const came = ({ lane, raftId, connection }: Sighting): void => {
    const ends = endsOf(lane, raftId)
    ends.newest = connection
    ends.closed = false
    if (lane === "raft") wire.connected(raftId)
  }
  const went = ({ lane, raftId, connection, reason }: Sighting): void => {
    const ends = endsOf(lane, raftId)
    if (ends.newest !== undefined && ends.newest !== connection) return
    ends.closed = closedByKernel.has(reason)
    const raft = endsOf("raft", raftId)
    // Whoever only lost a server, or left one, does not lose both connections in the way that a dead process does.
    if (raft.closed && endsOf("bulk", raftId).closed) wire.disconnected(raftId, "surely")
    else if (lane === "raft") wire.disconnected(raftId, "perhaps")
  }
  const told = (say: (sighting: Sighting) => void) => (delivery: { readonly body: Uint8Array }) => {
    const sighting = sightingIn(delivery.body)
    if (sighting !== undefined) say(sighting)
  }
  const subscriptions = [
    system.subscribe("$SYS.ACCOUNT.*.DISCONNECT", {}, told(went)),
    system.subscribe("$SYS.ACCOUNT.*.CONNECT", {}, told(came))
  ]
  return {
    unsubscribe: () => {
      for (const each of subscriptions) each.unsubscribe()
    }
  }
}
