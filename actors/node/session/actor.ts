/** The node's session: `<node>/session/main`, the one actor here that the leader speaks to. */
import { Context, Effect, Schema } from "effect"
import { Executor } from "#actors/drivers/executor.ts"
import { SecretStore } from "#actors/drivers/secret-store.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { PublishListener } from "#actors/logs/publish/publish.ts"
import { FromLeader, ToNodeAnswer } from "#actors/node/protocol.ts"
import { decide, type Session, start } from "#actors/node/session/decide.ts"
import type { SessionAction, SessionMessage, Standing } from "#actors/node/session/protocol.ts"
import { actor } from "#runtime/actor.ts"
import { type Address, address } from "#runtime/address.ts"
import { System } from "#runtime/system.ts"

/** Hears what the cluster takes this node for, whenever that is new to the session. */
export const StandingListener = Context.Reference<(standing: Standing) => void>(
  "troupe/actors/node/session/StandingListener",
  { defaultValue: () => () => {} }
)

/** Takes new connections to NATS in place of all that this process has. */
export const Reconnect = Context.Reference<() => void>("troupe/actors/node/session/Reconnect", {
  defaultValue: () => () => {}
})
/** Hears that managers are reached elsewhere than before. */
export const ManagersListener = Context.Reference<() => void>("troupe/actors/node/session/ManagersListener", {
  defaultValue: () => () => {}
})

/** Hears which node has the copy of this one's logs, whenever that changes. */
export const CopyListener = Context.Reference<(node: string | undefined) => void>(
  "troupe/actors/node/session/CopyListener",
  { defaultValue: () => () => {} }
)

export const session = actor({
  kind: "session",
  // What the tasks of a node can say between two turns.
  mailbox: { capacity: 65_536 },
  // Only these come from other processes; the rest of what a session understands is said beside it.
  accepts: FromLeader as unknown as Schema.Codec<SessionMessage, unknown>,
  start,
  decide,
  perform,
  secrets: (message: SessionMessage) =>
    message._tag === "Assign" &&
    (message.secrets.length > 0 ||
      message.volumes?.some(({ secrets }) => Object.keys(secrets).length > 0) === true ||
      message.tasks.some(({ registryAuth }) => registryAuth !== undefined)),
  summary: ({ phase, attempt, misses, holdings, unreported, behind }: Session) =>
    [
      phase === "joined" && misses > 0 ? `joined, ${misses} heartbeats unanswered` : phase,
      ...(phase === "registering" && attempt > 0 ? [`${attempt} tries`] : []),
      `${holdings.tasks.size} tasks`,
      ...(unreported.size > 0 ? [`${unreported.size} to report`] : []),
      ...(phase === "joined" && behind ? ["waits for a complete assignment"] : [])
    ].join(", ")
})

const decodeAnswer = Schema.decodeUnknownEffect(ToNodeAnswer)

function perform(
  action: SessionAction,
  self: Address
): Effect.Effect<SessionMessage | undefined, never, Executor | LogMemory | SecretStore | System> {
  switch (action._tag) {
    case "Ask":
      return askLeader(action.message, action.withinMs, self)
    case "Discard":
      return discard(action.container, action.graceMs)
    case "Reconnect":
      return Reconnect.pipe(
        Effect.tap(() =>
          Effect.logWarning("The leader has not been heard for long: connecting to NATS anew")
        ),
        Effect.tap((reconnect) => Effect.sync(reconnect)),
        Effect.as(undefined)
      )
    case "Stand":
      return StandingListener.pipe(
        Effect.tap((listen) => Effect.sync(() => listen(action.standing))),
        Effect.as(undefined)
      )
    case "ManagersChanged":
      return ManagersListener.pipe(
        Effect.tap((listen) => Effect.sync(listen)),
        Effect.as(undefined)
      )
    case "CopyTo":
      return CopyListener.pipe(
        Effect.tap((listen) => Effect.sync(() => listen(action.node))),
        Effect.as(undefined)
      )
    case "PublishLogs":
      return PublishListener.pipe(
        Effect.tap((listen) => Effect.sync(() => listen(action.tasks))),
        Effect.as(undefined)
      )
    case "Sweep":
      return SecretStore.pipe(
        Effect.flatMap((store) => store.sweep(action.taskIds)),
        Effect.catch(({ message }) => Effect.logWarning(`Cannot clear old secret files: ${message}`)),
        Effect.as(undefined)
      )
  }
}

const askLeader = Effect.fn("session.ask")(function* (
  message: Extract<SessionAction, { _tag: "Ask" }>["message"],
  withinMs: number,
  self: Address
) {
  const system = yield* System
  const asked = { about: message._tag, session: "session" in message ? message.session : "" }
  return yield* system.ask(address("leader", "node", self.home), message, withinMs).pipe(
    Effect.flatMap(decodeAnswer),
    Effect.map((answer): SessionMessage => ({ _tag: "Answered", ...asked, answer })),
    Effect.catch((error) =>
      Effect.succeed<SessionMessage>({ _tag: "Unanswered", ...asked, reason: error.message })
    )
  )
})

const discard = Effect.fn("session.discard")(function* (container: string, graceMs: number) {
  const executor = yield* Executor
  yield* Effect.logInfo(`Removing container ${container}: the cluster has no task for it`)
  const memory = yield* LogMemory
  yield* executor.stop(container, graceMs).pipe(
    Effect.andThen(executor.inspect(container)),
    // Its log goes with it.
    Effect.flatMap((stopped) => (stopped === undefined ? Effect.void : memory.settle(stopped))),
    Effect.andThen(executor.remove(container)),
    Effect.catch(({ message }) => Effect.logWarning(`Cannot remove container ${container}: ${message}`))
  )
  return { _tag: "Discarded", container } satisfies SessionMessage
})
