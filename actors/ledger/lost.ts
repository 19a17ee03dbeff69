/** Tasks whose nodes are down. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Task } from "#actors/model/objects.ts"

/** The last that was heard of it says nothing any more. */
export const isLost = (reader: LedgerReader, { NodeID: nodeId }: Task): boolean =>
  nodeId !== undefined && reader.get("node", nodeId)?.Status.State === "down"
