/**
 * `<node>/logs/main`: one per node; hands the logs of the tasks that run here to whoever pulls them. It needs
 * `LogReaders` and relies on nobody else, so its place in the node's tree is free.
 */
import { Effect, type Schema } from "effect"
import { begin, decide, type Inside, type LogsAction, type LogsState } from "#actors/logs/decide.ts"
import { LogsMessage } from "#actors/logs/protocol.ts"
import { LogReaders } from "#actors/logs/readers.ts"
import { actor } from "#runtime/actor.ts"

export const logs = actor<void, LogsState, Inside, LogsAction, LogReaders>({
  kind: "logs",
  // Others may say what the protocol has; the rest of `Inside` comes from this actor's own actions and timers.
  accepts: LogsMessage as unknown as Schema.Codec<Inside, unknown>,
  mailbox: { capacity: 10_000, overflow: "refuse" },
  start: begin,
  decide,
  perform: Effect.fnUntraced(function* (action: LogsAction) {
    const readers = yield* LogReaders
    switch (action._tag) {
      case "ReadOn": {
        const { subscription, source } = action
        const result = yield* readers.readOn(subscription, source)
        return { _tag: "Read" as const, subscription, ...result }
      }
      case "ListKept":
        return { _tag: "Listed" as const, asker: action.asker, kept: yield* readers.kept(action.wanted) }
      case "Shut":
        return yield* readers.shut(action.subscription)
      case "ShutAll":
        return yield* readers.shutAll
    }
  }),
  summary: ({ subscriptions }) => `${subscriptions.size} logs being read`
})
