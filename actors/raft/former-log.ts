/** The log of a former life in the Raft group: whoever comes back to the group comes under another name, with nothing. */
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { decodeIdentity } from "#actors/raft/storage/identity.ts"
import { names, raftDirectory } from "#actors/raft/storage/layout.ts"
import { lockDirectory } from "#actors/raft/storage/lock.ts"
import { setAside } from "#actors/raft/storage/set-aside.ts"
import { readWhole } from "#actors/raft/storage/vfs.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"

/**
 * Sets the log in `directory` (the node's data directory) aside unless it is `raftId`'s; without `raftId` in any
 * case. Nothing is deleted. Answers under which name it is kept. Throws `DirectoryInUse` and `DiskError`.
 */
export function setFormerLogAside(directory: string, raftId: string | undefined): string | undefined {
  const here = raftDirectory(directory)
  const found = nodeVfs.list(here)
  if (found.length === 0) return undefined
  const owner = found.includes(names.identity)
    ? decodeIdentity(nodeCipher, readWhole(nodeVfs, `${here}/${names.identity}`))
    : undefined
  // One that does not say whose it is may be ours: opening it tells what is wrong.
  if (raftId !== undefined && (owner === undefined || owner.nodeId === raftId)) return undefined
  const lock = lockDirectory(here)
  try {
    const place = { vfs: nodeVfs, cipher: nodeCipher, directory }
    const reason = "this node left the Raft group"
    return setAside(place, { nodeId: owner?.nodeId ?? "", reason, successor: raftId ?? "" }).asideAs
  } finally {
    lock.release()
  }
}
