/** What the keymaster, `leader/keymaster/main`, is told and does. Nobody but itself speaks to it. */
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export type KeymasterMessage =
  /** Own timer. */
  | { readonly _tag: "LookAgain" }
  /** Result of `Look`: who signs, by the public key (DER in base64); absent where the cluster has no roots. */
  | { readonly _tag: "Looked"; readonly issuer?: string }
  | Proposed

export type KeymasterAction =
  /** Answered by `Looked`. */
  | { readonly _tag: "Look" }
  /** From now on the root whose certificate this is is trusted alone, and join tokens name it. Answered by `Proposed`. */
  | { readonly _tag: "Conclude"; readonly certificate: string }
  /** Another password for routes, which only `holders` are told. Answered by `Proposed`. */
  | { readonly _tag: "ChangePassword"; readonly number: number; readonly holders: ReadonlyArray<string> }
  | Propose
