/** What entries about containers beside all tasks do to the tables: they are kept with the node that they are on. */

import { addressesOn } from "#actors/ledger/addresses-on.ts"
import { failedPrecondition, notFound, type Of, type Verdict } from "#actors/ledger/apply/verdict.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"

/** Keeps the node's version, as `node.gateways` does. */
export function attachContainer(tables: LedgerTables, { id, attached }: Of<"node.attach">): Verdict {
  const node = tables.get("node", id)
  if (node === undefined) return notFound("node", id)
  if (tables.get("network", attached.NetworkID) === undefined) return notFound("network", attached.NetworkID)
  const taken = addressesOn(tables, attached.NetworkID, attached.ID)
  const doubled = attached.Addresses.find((address) => taken.has(address))
  if (doubled !== undefined) return failedPrecondition(`address ${doubled} is in use`)
  const others = (node.Attached ?? []).filter((other) => other.ID !== attached.ID)
  tables.put("node", { ...node, Attached: [...others, attached] })
  return { id: attached.ID }
}

export function detachContainers(tables: LedgerTables, { id, attached }: Of<"node.detach">): Verdict {
  const node = tables.get("node", id)
  if (node === undefined) return notFound("node", id)
  const gone = new Set(attached)
  const { Attached: before = [], ...rest } = node
  const left = before.filter(({ ID }) => !gone.has(ID))
  if (left.length < before.length) tables.put("node", left.length === 0 ? rest : { ...rest, Attached: left })
  return { id }
}
