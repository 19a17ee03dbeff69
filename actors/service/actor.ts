/** The service's actor: decides, and writes what it decided to the ledger. */

import { carryOut } from "#actors/ledger/proposer.ts"
import type { Ledger } from "#actors/ledger/service.ts"
import { decide, type ServiceState, start, summary } from "#actors/service/decide.ts"
import type { ServiceAction, ServiceMessage, ServiceProps } from "#actors/service/protocol.ts"
import { actor } from "#runtime/actor.ts"

/** One per service, at `leader/service/<id>`. Its props are the ledger it reads. */
export const service = actor<ServiceProps, ServiceState, ServiceMessage, ServiceAction, Ledger>({
  kind: "service",
  start,
  decide,
  perform: carryOut,
  summary
})
