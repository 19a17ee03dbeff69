/**
 * A quarantined member comes back as another one: its data are set aside whole, nothing is deleted, and the
 * directory is reserved for the new id before the old name is free. An id never begins twice (Raft's safety rests
 * on a member remembering its votes), so a crash at any point leaves either the old log or the new id.
 */
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import { decodeIdentity } from "#actors/raft/storage/identity.ts"
import { names, raftDirectory } from "#actors/raft/storage/layout.ts"
import { decodeMark, encodeMark, type QuarantineMark } from "#actors/raft/storage/quarantine-mark.ts"
import { placeWhole, readWhole, type Vfs } from "#actors/raft/storage/vfs.ts"

/** `directory` is the node's data directory. */
export interface Place {
  readonly vfs: Vfs
  readonly cipher: Cipher
  readonly directory: string
}

const asideName = /^raft\.damaged-(\d+)$/

/** Set-aside logs in a data directory, oldest first. */
export const asideNames = ({ vfs, directory }: Place): ReadonlyArray<string> =>
  vfs
    .list(directory)
    .filter((name) => asideName.test(name))
    .sort((a, b) => numberOf(a) - numberOf(b))

/** The next name that is free. */
export const nextAside = (place: Place): string =>
  `raft.damaged-${Math.max(0, ...asideNames(place).map(numberOf)) + 1}`

const numberOf = (name: string): number => Number(asideName.exec(name)?.[1])

const markIn = ({ vfs, cipher }: Place, place: string): QuarantineMark | undefined =>
  vfs.list(place).includes(names.quarantine)
    ? decodeMark(cipher, readWhole(vfs, `${place}/${names.quarantine}`))
    : undefined

/**
 * Sets the log of `nodeId` aside as `raft.damaged-<n>` and reserves the directory for `successor`, an id that was
 * never used. Done twice it is done once: the answer is the id that was reserved first. The lock is the caller's.
 */
export function setAside(
  place: Place,
  what: { readonly nodeId: string; readonly reason: string; readonly successor: string }
): { readonly successor: string; readonly asideAs: string } {
  const { vfs, cipher, directory } = place
  const here = raftDirectory(directory)
  const known = markIn(place, here)
  const successor = known !== undefined && known.successor !== "" ? known.successor : what.successor
  if (known?.successor !== successor) {
    const mark = { nodeId: what.nodeId, reason: known?.reason ?? what.reason, successor }
    placeWhole(vfs, here, names.quarantine, encodeMark(cipher, mark))
  }
  const asideAs = nextAside(place)
  vfs.rename(here, `${directory}/${asideAs}`)
  vfs.syncDirectory(directory)
  return { successor, asideAs }
}

/** The set-aside log that was `nodeId`'s, if there is one: that id must not begin again. */
export const asideOf = (place: Place, nodeId: string): string | undefined =>
  asideNames(place).find((name) => {
    const aside = `${place.directory}/${name}`
    if (markIn(place, aside)?.nodeId === nodeId) return true
    if (!place.vfs.list(aside).includes(names.identity)) return false
    return decodeIdentity(place.cipher, readWhole(place.vfs, `${aside}/${names.identity}`))?.nodeId === nodeId
  })
