/**
 * What can be said to the dispatcher, `leader/dispatcher/main`.
 *
 * It knows which nodes have a session and what each was told, and tells them what changes: `Assign`, to
 * `<node>/session/main`.
 */
import type { Wanted } from "#actors/dispatcher/provide.ts"
import type { Provision } from "#actors/drivers/secret-providers.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export interface DispatcherProps {
  readonly ledger: LedgerReader
  /** The leader's own node: it is not written down when that one was last heard of. */
  readonly nodeId: string
}

export type DispatcherMessage =
  /** A node has a new session and holds nothing yet, as far as we know. */
  | { readonly _tag: "SessionOpened"; readonly nodeId: string; readonly session: string }
  | { readonly _tag: "SessionClosed"; readonly nodeId: string }
  /** A node was heard of; `applied` is the last assignment it took. */
  | {
      readonly _tag: "Heard"
      readonly nodeId: string
      readonly session: string
      readonly applied: number
    }
  /** A node has carried out where traffic goes as of its assignment `seq`. */
  | { readonly _tag: "Routed"; readonly nodeId: string; readonly session: string; readonly seq: number }
  /** A node is not heard of any more. Answered by `Lost` to its actor, unless the silence may be our own fault. */
  | { readonly _tag: "Missed"; readonly nodeId: string; readonly silentMs: number }
  /** A node asks for everything. */
  | { readonly _tag: "Resync"; readonly nodeId: string; readonly session: string }
  | { readonly _tag: "Changed"; readonly changes: ChangeSet["changes"] }
  /** These services' hosts are shown by other certificates, or answer for another ACME account. Nothing of a secret is said. */
  | { readonly _tag: "Certificates"; readonly services: ReadonlyArray<string> }
  /** Changes may have been missed: everything is looked at again. */
  | { readonly _tag: "Refresh" }
  /** What a driver gave of a secret to a task on this node. Answers `Provide`. */
  | {
      readonly _tag: "Provided"
      readonly taskId: string
      readonly secretId: string
      readonly nodeId: string
      readonly provision: Provision
    }
  /** Own timers. */
  | { readonly _tag: "Flush" }
  | { readonly _tag: "NoteSeen" }
  | Proposed

export type DispatcherAction =
  | Propose
  /** Asks a driver for a secret. Answered by `Provided`. */
  | ({ readonly _tag: "Provide" } & Wanted)
