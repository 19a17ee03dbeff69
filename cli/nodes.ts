/** The processes of the cluster that run actors, for commands that ask all of them. */
import { Effect } from "effect"
import { get } from "#cli/client.ts"
import type { Running } from "#cli/running.ts"

interface NodeJson {
  readonly ID: string
  readonly Description?: { readonly Hostname?: string }
  readonly Status: { readonly State: string }
}

export interface NamedNode {
  readonly id: string
  readonly name: string
}

/** Every node that is not down. A node that is no manager knows of itself alone. */
export const nodesOf = (running: Running): Effect.Effect<ReadonlyArray<NamedNode>> =>
  get<ReadonlyArray<NodeJson>>(running.socket, "/nodes").pipe(
    Effect.map((nodes) =>
      nodes
        .filter(({ Status }) => Status.State !== "down")
        .map(({ ID, Description }) => ({ id: ID, name: Description?.Hostname ?? ID }))
    ),
    Effect.orElseSucceed(() => []),
    Effect.map((nodes) =>
      nodes.some(({ id }) => id === running.nodeId)
        ? nodes
        : [{ id: running.nodeId, name: running.nodeId }, ...nodes]
    )
  )

/** One of them by id, unique beginning of an id, or name; without a word, this one. */
export const nodeCalled = Effect.fnUntraced(function* (running: Running, word: string | undefined) {
  if (word === undefined || word === running.nodeId) return running.nodeId
  const nodes = yield* nodesOf(running)
  const named = nodes.filter(({ id, name }) => id === word || name === word)
  const found = named.length > 0 ? named : nodes.filter(({ id }) => id.startsWith(word))
  if (found.length === 1 && found[0]) return found[0].id
  const words = found.length === 0 ? "no node of this cluster is called so" : "several nodes are called so"
  return yield* Effect.fail(new Error(`--node ${word}: ${words}`))
})
