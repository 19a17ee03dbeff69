/** What can be said to a manager's nats-server, `<node>/nats/main`. */
import { Schema } from "effect"
import { NatsKeys } from "#actors/model/trust.ts"
import type { NatsServerStatus } from "#actors/nats/server.ts"

/** Answered `ServerRestarted` once it takes connections again. */
const RestartServer = Schema.TaggedStruct("RestartServer", {})
/** The cluster's servers and nodes from now on. Answered `PeersSet`. */
const SetPeers = Schema.TaggedStruct("SetPeers", {
  /** `host:port` of every server's route. */
  routes: Schema.Array(Schema.String),
  members: Schema.Array(
    Schema.Struct({ nodeId: Schema.String, raftId: Schema.optionalKey(Schema.String), keys: NatsKeys })
  )
})

export const ToNats = Schema.Union([RestartServer, SetPeers])

/** `problem`: why not. */
export const FromNats = Schema.Union([
  Schema.TaggedStruct("ServerRestarted", { problem: Schema.optionalKey(Schema.String) }),
  Schema.TaggedStruct("PeersSet", { problem: Schema.optionalKey(Schema.String) })
])
export type FromNats = typeof FromNats.Type

export type NatsMessage =
  | typeof ToNats.Type
  /** Results of own actions. */
  | { readonly _tag: "Changed"; readonly status: NatsServerStatus }
  | { readonly _tag: "Restarted"; readonly problem?: string }
  | { readonly _tag: "Joined"; readonly problem?: string }

export type NatsAction =
  /** Waits for another status than `seen`. */
  | { readonly _tag: "Follow"; readonly seen: NatsServerStatus }
  | { readonly _tag: "Restart" }
  | { readonly _tag: "Join"; readonly peers: typeof SetPeers.Type }
