/** Sees who waits for a service that sleeps: `<node>/activator/main`. */
import { Effect } from "effect"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { Entrance } from "#actors/drivers/entrance.ts"
import { decide, start, summary } from "#actors/node/activator/decide.ts"
import type { ActivatorAction, ActivatorMessage } from "#actors/node/activator/protocol.ts"
import { actor } from "#runtime/actor.ts"

const perform = Effect.fn("activator.look")(function* ({
  sleepers
}: ActivatorAction): Effect.fn.Return<ActivatorMessage, never, DataPlane> {
  const entrance = yield* Entrance
  const dataPlane = yield* DataPlane
  const nobody: ReadonlySet<string> = new Set()
  const callers = sleepers.some(({ routed }) => routed) ? yield* entrance.waiting : nobody
  const held = sleepers.some(({ ports }) => ports.length > 0)
    ? yield* dataPlane.held.pipe(Effect.catch(() => Effect.succeed(new Set<number>())))
    : new Set<number>()
  const waiting = sleepers
    .filter(({ id, ports }) => callers.has(id) || ports.some((port) => held.has(port)))
    .map(({ id }) => id)
  return { _tag: "Looked", waiting }
})

export const activator = actor({ kind: "activator", start, decide, perform, summary })
