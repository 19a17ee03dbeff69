/** `<node>/log-keeper/main`: has the output of every task read into the node's memory. */
import { Effect } from "effect"
import { decide, type Keeper, start } from "#actors/logs/keeper/decide.ts"
import type { KeeperAction, KeeperMessage } from "#actors/logs/keeper/protocol.ts"
import { LogMemory } from "#actors/logs/memory.ts"
import { actor } from "#runtime/actor.ts"

export const logKeeper = actor({
  kind: "log-keeper",
  mailbox: { capacity: 10_000, overflow: "drop-oldest" },
  start,
  decide,
  perform: Effect.fnUntraced(function* (action: KeeperAction) {
    const memory = yield* LogMemory
    const outcome = yield* memory.follow(action.container, action.runs)
    return { _tag: "Followed", container: action.container.id, outcome } satisfies KeeperMessage
  }),
  summary: ({ known }: Keeper) =>
    `${[...known.values()].filter(({ state }) => state === "following").length} logs being kept`
})
