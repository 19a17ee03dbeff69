/** What the ACME actor, `leader/acme/main`, is told and does. */
import type { AcmeAccount } from "#actors/acme/account.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export interface AcmeProps {
  readonly ledger: LedgerReader
}

/** A certificate, its chain and its key, PEM in base64; and when it is valid, milliseconds since the epoch. */
export interface Issued {
  readonly data: string
  readonly validFrom: number
  readonly validTo: number
}

/** How an order ended; `problem`: why there is no certificate. */
export type Ordered = Issued | { readonly problem: string }

export type AcmeMessage =
  /** Own timer. */
  | { readonly _tag: "LookAgain" }
  /** How an `Order` ended. */
  | { readonly _tag: "Ordered"; readonly host: string; readonly ordered: Ordered }
  | Proposed

export type AcmeAction =
  /** Asks the account's server for a certificate of the host. Answered by `Ordered`, in some minutes at most. */
  { readonly _tag: "Order"; readonly host: string; readonly account: AcmeAccount } | Propose
