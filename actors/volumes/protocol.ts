/**
 * What can be said to the actor of the cluster's volumes, `leader/volumes/main`. It alone speaks to the plugins'
 * controllers: it has volumes made, published to nodes, taken back and deleted.
 */
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export interface VolumesProps {
  readonly ledger: LedgerReader
}

/** A step of one volume that has been taken, to be written. */
export type Observation = Extract<Command, { type: "volume.observe" }>["volumes"][number]

export type VolumesMessage =
  /** A volume, a task that uses one, or a node that has one may have changed. */
  | { readonly _tag: "Look" }
  /** Answers of `Call`. */
  | { readonly _tag: "Called"; readonly call: VolumeCall; readonly observation: Observation }
  | { readonly _tag: "NotCalled"; readonly call: VolumeCall; readonly message: string }
  | Proposed

/** What a plugin's controller is asked to do with a volume, which the ledger tells more of. */
export type VolumeCall =
  | { readonly step: "create"; readonly id: string }
  | { readonly step: "delete"; readonly id: string }
  /** To this node, which the plugin knows by `plugin`. */
  | { readonly step: "publish"; readonly id: string; readonly node: string; readonly plugin: string }
  | { readonly step: "unpublish"; readonly id: string; readonly node: string; readonly plugin?: string }

export type VolumesAction =
  | Propose
  /** Answered by `Called` or `NotCalled`. */
  | ({ readonly _tag: "Call" } & VolumeCall)
