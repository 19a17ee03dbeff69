/**
 * A manager's nats-server as an actor: shown in the tree, and restarted or told its peers from anywhere.
 *
 * It does not keep the server alive: actors speak through that server, so it is started before them and its death is
 * repaired beneath them, by `server.ts`.
 */
import { Effect, type Schema } from "effect"
import { begin, decide, type NatsProps, type NatsState, summarize } from "#actors/nats/decide.ts"
import { type NatsAction, type NatsMessage, ToNats } from "#actors/nats/protocol.ts"
import { NatsServer } from "#actors/nats/server.ts"
import { actor } from "#runtime/actor.ts"

/** Nothing, or why not: a server that cannot be restarted is no reason for its actor to crash. */
const problemOf = <E extends { readonly message: string }, R>(
  effect: Effect.Effect<void, E, R>
): Effect.Effect<{ readonly problem?: string }, never, R> =>
  Effect.match(effect, { onSuccess: () => ({}), onFailure: ({ message }) => ({ problem: message }) })

export const natsServer = actor<NatsProps, NatsState, NatsMessage, NatsAction, NatsServer>({
  kind: "nats",
  accepts: ToNats as unknown as Schema.Codec<NatsMessage, unknown>,
  start: begin,
  decide,
  perform: Effect.fn("nats.perform")(function* (
    action: NatsAction
  ): Effect.fn.Return<NatsMessage, never, NatsServer> {
    const server = yield* NatsServer
    switch (action._tag) {
      case "Follow":
        return { _tag: "Changed", status: yield* server.changed(action.seen) }
      case "Restart":
        return { _tag: "Restarted", ...(yield* problemOf(server.restart)) }
      case "Join":
        return { _tag: "Joined", ...(yield* problemOf(server.setPeers(action.peers))) }
    }
  }),
  summary: summarize
})
