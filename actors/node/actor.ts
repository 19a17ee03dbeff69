/** The leader's actor of one node. */
import { Effect, type Schema } from "effect"
import { renew } from "#actors/authority/renew.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import type { Ledger } from "#actors/ledger/service.ts"
import {
  decide,
  type NodeAction,
  type NodeMessage,
  type NodeProps,
  type NodeState,
  start,
  summary
} from "#actors/node/decide.ts"
import { FromNode, type ToNodeAnswer } from "#actors/node/protocol.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"

const perform = Effect.fn("node.perform")(function* (
  action: NodeAction,
  self: Address
): Effect.fn.Return<NodeMessage, never, Ledger> {
  if (action._tag === "Propose") return yield* carryOut(action, self)
  const answer = yield* renew(action.request).pipe(
    Effect.map((membership): ToNodeAnswer => ({ _tag: "Renewed", membership })),
    Effect.catch(({ message }) => Effect.succeed<ToNodeAnswer>({ _tag: "NotRenewed", reason: message }))
  )
  return { _tag: "Issued", asker: action.asker, answer }
})

/** One per node, at `leader/node/<id>`. From outside it takes what a node may say, and nothing else. */
export const node = actor<NodeProps, NodeState, NodeMessage, NodeAction, Ledger>({
  kind: "node",
  accepts: FromNode as unknown as Schema.Codec<NodeMessage, unknown>,
  start,
  decide,
  perform,
  // A manager is told what nats-servers show each other.
  secrets: (message) => message._tag === "Issued",
  summary
})
