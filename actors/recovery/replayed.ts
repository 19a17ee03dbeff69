/** The state that a log or a snapshot comes to: built before anything is changed, so that nothing half-good is begun from. */
import { Machine } from "#actors/ledger/machine.ts"
import type { Kind } from "#actors/ledger/reader.ts"
import { kinds } from "#actors/ledger/tables.ts"
import type { Cluster } from "#actors/model/objects.ts"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { commandOf } from "#actors/raft/host/envelope.ts"
import { cannot } from "#actors/recovery/errors.ts"

/** `index` is the last entry that counted; `time` is the leader's clock there, milliseconds since the epoch. */
export interface Replayed {
  readonly index: number
  readonly time: number
  /** As every manager showed it at this entry. */
  readonly digest: string
  readonly cluster: Cluster
  readonly counts: Readonly<Record<Kind, number>>
  /** Who was a manager, by node id. */
  /** In the order of their names. */
  readonly managers: ReadonlyArray<{ readonly id: string; readonly name: string }>
}

/** Throws `RecoveryError` when it is no whole state of a cluster. */
export function replay(snapshot: Iterable<Uint8Array> | undefined, entries: ReadonlyArray<Entry>): Replayed {
  const machine = new Machine((defect) => {
    throw defect
  })
  try {
    if (snapshot !== undefined) machine.restore(snapshot)
    for (const { index, type, data } of entries) {
      if (type === entryType.noop || type === entryType.config) continue
      machine.apply(index, type === entryType.proposal ? commandOf(data) : data)
    }
  } catch (error) {
    throw cannot(`The state cannot be built again: ${(error as Error).message}`)
  }
  const { tables } = machine
  const cluster = tables.cluster()
  if (cluster?.Roots === undefined) {
    throw cannot("It holds no cluster with a certificate authority: there is nothing to begin from")
  }
  const managers = [...tables.all("node")].filter(({ ManagerStatus }) => ManagerStatus !== undefined)
  return {
    index: tables.index,
    time: tables.time,
    digest: machine.digest(),
    cluster,
    counts: Object.fromEntries(kinds.map((kind) => [kind, tables.count(kind)])) as Record<Kind, number>,
    managers: managers
      .map(({ ID, Description }) => ({ id: ID, name: Description?.Hostname ?? ID }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}
