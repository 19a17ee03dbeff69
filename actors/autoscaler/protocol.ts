/** What can be said to a service's autoscaler, `leader/autoscaler/<service id>`, and what it answers. */
import { Schema } from "effect"
import type { Decision } from "#actors/autoscaler/choose.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export interface AutoscalerProps {
  readonly ledger: LedgerReader
}

/** What one task uses: cores, bytes, and new connections a second, where those can be counted. */
export interface Usage {
  readonly id: string
  readonly cpu: number
  readonly memory: number
  readonly connections?: number
}

export interface RequestsOfNode {
  readonly rps: number
  readonly inflight: number
  readonly took: ReadonlyArray<number>
}

export type AutoscalerMessage =
  /** Told by a node's actor, once a second: what that node's tasks of this service use. */
  | { readonly _tag: "Used"; readonly tasks: ReadonlyArray<Usage> }
  /**
   * Told by a node's actor, once a second: what that node's HTTP entrance was asked of this service. Requests a second,
   * those under way or waiting, and answers a second in the buckets of `latencyBounds`.
   */
  | ({ readonly _tag: "Requests"; readonly node: string } & RequestsOfNode)
  /** Told by a node's actor, at once and again: somebody waits for the service's first task. */
  | { readonly _tag: "Waiting" }
  /** Told once a second while it is known: what another system said last under `subject`. */
  | { readonly _tag: "Published"; readonly subject: string; readonly value: number }
  /** Asked; answered by `Explained`. */
  | { readonly _tag: "Explain" }
  /** Own timer. */
  | { readonly _tag: "Decide" }
  | Proposed

/** What it accepts from other managers, whose API answers, too. */
export const ToAutoscaler = Schema.Struct({ _tag: Schema.Literal("Explain") })

/** Its only action; see `#actors/ledger/writer.ts`. */
export type AutoscalerAction = Propose

export interface Explained {
  readonly _tag: "Explained"
  readonly service: string
  readonly min: number
  readonly max: number
  /** A label that was changed behind our back and cannot be meant: what was asked before it stays in force. */
  readonly problem?: string
  readonly now?: Decision
  /** Those that changed something, newest first. */
  readonly changes: ReadonlyArray<Decision>
}

const number = Schema.Number
const optional = Schema.optionalKey
const Decided = Schema.Struct({
  at: number,
  from: number,
  to: number,
  running: number,
  votes: Schema.Array(
    Schema.Struct({
      target: Schema.String,
      goal: number,
      mean: optional(number),
      recent: optional(number),
      wants: optional(number),
      panics: Schema.Boolean
    })
  ),
  scheduled: optional(number),
  wanted: number,
  why: Schema.String
})

/** For who asks from another process. */
export const ExplainedAnswer: Schema.Codec<Explained, unknown> = Schema.Struct({
  _tag: Schema.Literal("Explained"),
  service: Schema.String,
  min: number,
  max: number,
  problem: optional(Schema.String),
  now: optional(Decided),
  changes: Schema.Array(Decided)
})
