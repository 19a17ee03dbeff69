/** The autoscaler's actor: decides, and writes what it decided to the ledger. */
import type { Schema } from "effect"
import { type AutoscalerState, decide, start, summary } from "#actors/autoscaler/decide.ts"
import {
  type AutoscalerAction,
  type AutoscalerMessage,
  type AutoscalerProps,
  ToAutoscaler
} from "#actors/autoscaler/protocol.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import type { Ledger } from "#actors/ledger/service.ts"
import { actor } from "#runtime/actor.ts"

/** One per service that asks for it, at `leader/autoscaler/<service id>`. */
export const autoscaler = actor<
  AutoscalerProps,
  AutoscalerState,
  AutoscalerMessage,
  AutoscalerAction,
  Ledger
>({
  kind: "autoscaler",
  accepts: ToAutoscaler as unknown as Schema.Codec<AutoscalerMessage, unknown>,
  start,
  decide,
  perform: carryOut,
  summary
})
