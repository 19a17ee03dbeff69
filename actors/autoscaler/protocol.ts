/** What can be said to a service's autoscaler, `leader/autoscaler/<service id>`, and what it answers. */
import type { Decision } from "#actors/autoscaler/choose.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export interface AutoscalerProps {
  readonly ledger: LedgerReader
}

/** What one task uses: cores, and bytes. */
export interface Usage {
  readonly id: string
  readonly cpu: number
  readonly memory: number
}

export type AutoscalerMessage =
  /** Told by a node's actor, once a second: what that node's tasks of this service use. */
  | { readonly _tag: "Used"; readonly tasks: ReadonlyArray<Usage> }
  /** Asked; answered by `Explained`. */
  | { readonly _tag: "Explain" }
  /** Own timer. */
  | { readonly _tag: "Decide" }
  | Proposed

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
