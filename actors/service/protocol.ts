/**
 * What can be said to a service's actor, `leader/service/<id>`.
 *
 * It is only ever told to look: what there is to see stands in the ledger. Telling it twice changes nothing.
 */

import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Propose, Proposed } from "#actors/ledger/writer.ts"

export interface ServiceProps {
  readonly ledger: LedgerReader
}

/** Something about the service, its tasks or their nodes has changed, or a time that it waits for has come. */
export interface Look {
  readonly _tag: "Look"
}
export const look: Look = { _tag: "Look" }

export type ServiceMessage = Look | Proposed
/** Its only action; see `#actors/ledger/writer.ts`. */
export type ServiceAction = Propose
