/**
 * Which of the Engine's networks are our own bridges, for events, which carry no labels.
 *
 * What a bridge is does not change, so each is looked up once; one that was removed before anybody asked is known
 * from its creation.
 */
import { Effect } from "effect"
import { networkLabel } from "#actors/drivers/labels.ts"
import type { EngineClientService } from "#actors/gateway/engine-client.ts"

export interface HiddenNetworks {
  readonly isHidden: (event: { readonly id: string; readonly Action: string }) => Promise<boolean>
}

// An id and a word each; a node that made this many networks forgets the oldest.
const mostKnown = 10_000

export function makeHiddenNetworks(engine: Pick<EngineClientService, "call">): HiddenNetworks {
  const known = new Map<string, boolean>()
  const learn = (id: string, hidden: boolean): void => {
    known.set(id, hidden)
    for (const oldest of known.keys()) {
      if (known.size <= mostKnown) break
      known.delete(oldest)
    }
  }
  /** One question for all that is there; afterwards most answers are known. */
  const lookUp = (id: string): Promise<boolean> =>
    Effect.runPromise(
      engine.call("GET", "/networks").pipe(
        Effect.map(({ status, body }) => {
          if (status !== 200 || !Array.isArray(body)) return false
          for (const network of body as ReadonlyArray<{
            readonly Id: string
            readonly Labels?: Readonly<Record<string, string>> | null
          }>) {
            learn(network.Id, network.Labels?.[networkLabel] !== undefined)
          }
          // Gone already, and nobody saw it come.
          if (!known.has(id)) learn(id, false)
          return known.get(id) ?? false
        }),
        Effect.catch(() => Effect.succeed(false))
      )
    )
  return {
    isHidden: async ({ id }) => known.get(id) ?? (await lookUp(id))
  }
}
