/** The leader's actor of one node. */
import type { Schema } from "effect"
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
import { FromNode } from "#actors/node/protocol.ts"
import { actor } from "#runtime/actor.ts"

/** One per node, at `leader/node/<id>`. From outside it takes what a node may say, and nothing else. */
export const node = actor<NodeProps, NodeState, NodeMessage, NodeAction, Ledger>({
  kind: "node",
  accepts: FromNode as unknown as Schema.Codec<NodeMessage, unknown>,
  start,
  decide,
  perform: carryOut,
  summary
})
