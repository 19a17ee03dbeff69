/** The leader's actor of one node. */
import { Clock, Effect, type Schema } from "effect"
import type { Membership } from "#actors/authority/protocol.ts"
import { reissue } from "#actors/authority/reissue.ts"
import { renew } from "#actors/authority/renew.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import { Ledger } from "#actors/ledger/service.ts"
import type { Refused } from "#actors/model/errors.ts"
import { attach, detach } from "#actors/node/attach.ts"
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
): Effect.fn.Return<NodeMessage | undefined, never, Ledger> {
  if (action._tag === "Propose") return yield* carryOut(action, self)
  if (action._tag === "Attach") {
    const answer = yield* attach(action.nodeId, action.request)
    return { _tag: "Certified", asker: action.asker, answer }
  }
  if (action._tag === "Detach") {
    yield* detach(action.nodeId, action.attached)
    return undefined
  }
  if (action._tag === "Certify") return yield* certify(action)
  const answer = yield* renew(action.request).pipe(
    Effect.match({ onSuccess: renewed, onFailure: notRenewed })
  )
  return { _tag: "Issued", asker: action.asker, answer }
})

const certify = Effect.fn("node.certify")(function* ({
  asker,
  ...request
}: Extract<NodeAction, { _tag: "Certify" }>): Effect.fn.Return<NodeMessage, never, Ledger> {
  const { read } = yield* Ledger
  // The machine's own clock, as `renew` goes by.
  const now = yield* Clock.currentTimeMillis
  const answer = yield* reissue(read, { ...request, now }).pipe(
    Effect.match({ onSuccess: renewed, onFailure: notRenewed })
  )
  return { _tag: "Certified", asker, answer }
})

const renewed = (membership: Membership): ToNodeAnswer => ({ _tag: "Renewed", membership })
const notRenewed = ({ message }: Refused): ToNodeAnswer => ({ _tag: "NotRenewed", reason: message })

/** One per node, at `leader/node/<id>`. From outside it takes what a node may say, and nothing else. */
export const node = actor<NodeProps, NodeState, NodeMessage, NodeAction, Ledger>({
  kind: "node",
  accepts: FromNode as unknown as Schema.Codec<NodeMessage, unknown>,
  start,
  decide,
  perform,
  // A manager is told what nats-servers show each other.
  secrets: (message) => message._tag === "Issued" || message._tag === "Certified",
  summary
})
