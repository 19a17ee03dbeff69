/**
 * The history of before this process began, from its log on disk: the oldest snapshot from which on every entry is
 * there, and those entries, applied once more to a state of their own.
 */
import { Journal, type Kept } from "#actors/history/journal.ts"
import { Machine } from "#actors/ledger/machine.ts"
import { entryType } from "#actors/raft/entry.ts"
import { commandOf } from "#actors/raft/host/envelope.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { inspect, openReadable } from "#actors/raft/storage/inspect.ts"
import { names, raftDirectory } from "#actors/raft/storage/layout.ts"
import { readSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"

export interface RebuildInput {
  readonly dataDir: string
  readonly unlockKey?: Uint8Array
  /** The last entry that is asked for. */
  readonly upTo: number
}

export interface Rebuilt {
  readonly rows: ReadonlyArray<Kept>
  /** All after this entry is told. */
  readonly after: number
}

/** A state of some hundred thousand tasks; a larger one is not built a second time beside the first. In bytes. */
const mostSnapshotBytes = 32 * 1024 * 1024

/** Throws what keeps the log from being read. */
export function rebuild({ dataDir, unlockKey, upTo }: RebuildInput): Rebuilt {
  const log = openReadable({
    vfs: nodeVfs,
    cipher: nodeCipher,
    directory: dataDir,
    ...(unlockKey !== undefined && { unlockKey })
  })
  const { entries, snapshots } = inspect(log)
  const isWhole = (from: number): boolean => {
    for (let index = from + 1; index <= upTo; index++) if (!entries.has(index)) return false
    return true
  }
  const machine = new Machine((defect) => {
    throw defect
  })
  let after = 0
  if (!isWhole(0)) {
    const start = [...snapshots].reverse().find(({ index }) => index <= upTo && isWhole(index))
    if (start === undefined || start.bytes > mostSnapshotBytes) return { rows: [], after: upTo }
    const path = `${raftDirectory(dataDir)}/${names.snapshots}/${start.name}`
    machine.restore(readSnapshot(nodeVfs, nodeCipher, log.owner, log.ring, path))
    after = start.index
  }
  const journal = new Journal(after)
  machine.follow((set) => journal.take(set, machine.tables))
  for (let index = after + 1; index <= upTo; index++) {
    const entry = entries.get(index)
    if (entry === undefined || entry.type === entryType.noop || entry.type === entryType.config) continue
    machine.apply(index, entry.type === entryType.proposal ? commandOf(entry.data) : entry.data)
  }
  return { rows: journal.all(), after }
}
