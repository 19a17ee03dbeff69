/** What can be said to the scheduler, `leader/scheduler/main`. It alone gives tasks their nodes. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export interface SchedulerProps {
  readonly ledger: LedgerReader
}

export type SchedulerMessage =
  /** Tasks wait for a node, or there may be room where there was none. */
  | { readonly _tag: "Look" }
  /** A task failed where it was placed: too many of these, and its node comes last for that version. */
  | {
      readonly _tag: "Failed"
      readonly serviceId: string
      readonly specVersion: number
      readonly nodeId: string
      /** Milliseconds since the epoch. */
      readonly at: number
    }
  | Proposed

export type SchedulerAction = Propose
