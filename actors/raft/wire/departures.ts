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

const Advisory = Schema.Struct({ client: Schema.Struct({ name: Schema.optionalKey(Schema.String) }) })
const decode = Schema.decodeUnknownOption(Advisory)

/** The member that an advisory is about, if it is about one. */
function memberIn(body: Uint8Array): string | undefined {
  const parsed = decodeBody(body)
  if (!parsed.ok) return undefined
  const advisory = decode(parsed.message)
  if (advisory._tag === "None") return undefined
  const [, raftId] = /^raft (\S+)$/.exec(advisory.value.client.name ?? "") ?? []
  return raftId
}

/** Tells `wire` of members that come and go; `system` is a connection of the servers' own account. */
export function followDepartures(system: TransportService, wire: NatsWire): Subscription {
  const told = (say: (raftId: string) => void) => (delivery: { readonly body: Uint8Array }) => {
    const raftId = memberIn(delivery.body)
    if (raftId !== undefined) say(raftId)
  }
  const subscriptions = [
    system.subscribe("$SYS.ACCOUNT.*.DISCONNECT", {}, told(wire.disconnected)),
    system.subscribe("$SYS.ACCOUNT.*.CONNECT", {}, told(wire.connected))
  ]
  return {
    unsubscribe: () => {
      for (const each of subscriptions) each.unsubscribe()
    }
  }
}
