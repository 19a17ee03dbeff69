/** Opens a node's log: makes it on the first start, otherwise checks whose it is, gets its keys and recovers it. */

import { firstIncarnation, type Incarnation } from "#actors/raft/incarnation.ts"
import { sameBytes } from "#actors/raft/storage/bytes.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import type { Owner } from "#actors/raft/storage/frame.ts"
import { decodeIdentity, encodeIdentity } from "#actors/raft/storage/identity.ts"
import { decodeKeys, encodeKeys, type KeyRing, keyBytes, newDataKey } from "#actors/raft/storage/keys.ts"
import { type Limits, names, parseName, raftDirectory } from "#actors/raft/storage/layout.ts"
import { keyFileName, readKeyFiles, settleKeyFiles, writeKeyFile } from "#actors/raft/storage/node-key.ts"
import { decodeMark } from "#actors/raft/storage/quarantine-mark.ts"
import { type Recovery, recover } from "#actors/raft/storage/recover.ts"
import { rewrapAsides } from "#actors/raft/storage/rewrap-asides.ts"
import { asideOf } from "#actors/raft/storage/set-aside.ts"
import { decodeSlot, encodeSlot } from "#actors/raft/storage/slot.ts"
import { placeWhole, readWhole, type Vfs } from "#actors/raft/storage/vfs.ts"
import type { Locked, Quarantine } from "#actors/raft/storage.ts"

/** The directory holds another member's log. */
export class WrongOwner extends Error {
  override readonly name = "WrongOwner"
}

/**
 * `directory` is the node's data directory; the log is in `raft` under it. `unlockKey` is given when people hold
 * the wrapping key (32 bytes). `nowMs` is only written down.
 */
export interface OpenInput {
  readonly vfs: Vfs
  readonly cipher: Cipher
  readonly directory: string
  readonly owner: Owner
  readonly limits: Limits
  readonly nowMs: number
  readonly unlockKey?: Uint8Array
  /** The group's, where the log begins here; one that is there says its own. The first unless given. */
  readonly incarnation?: Incarnation
}

export interface OpenedLog extends Recovery {
  readonly ring: KeyRing
  /** Wraps the data keys: from the key file, or what people gave. */
  readonly wrapper: Uint8Array
}

/** Throws `DiskError`, `UnknownFormat` and `WrongOwner`. The directory's lock is held by the caller. */
export function openLog(input: OpenInput): OpenedLog | Quarantine | Locked {
  const { vfs, cipher, owner, directory, limits } = input
  const place = raftDirectory(directory)
  for (const path of [place, `${place}/${names.log}`, `${place}/${names.snapshots}`]) vfs.makeDirectory(path)

  if (!vfs.list(place).includes(names.identity)) {
    const evidence = heldBefore(input, place)
    if (evidence !== undefined) {
      return { _tag: "Quarantine", reason: `The identity file is missing, but there is ${evidence}` }
    }
    const aside = asideOf(input, owner.nodeId)
    if (aside !== undefined) {
      throw new WrongOwner(
        `Cannot begin a log for node ${owner.nodeId} in ${directory}: its log was set aside as ${aside}, ` +
          "and an id never begins twice"
      )
    }
    initialise(input, place)
  }
  const identity = decodeIdentity(cipher, readWhole(vfs, `${place}/${names.identity}`))
  if (identity === undefined) return { _tag: "Quarantine", reason: "The identity file is damaged" }
  if (identity.clusterId !== owner.clusterId || identity.nodeId !== owner.nodeId) {
    throw new WrongOwner(
      `Cannot open ${place}: it is the log of node ${identity.nodeId} in cluster ${identity.clusterId}, ` +
        `expected node ${owner.nodeId} in cluster ${owner.clusterId}`
    )
  }

  if (vfs.list(place).includes(names.quarantine)) {
    const mark = decodeMark(cipher, readWhole(vfs, `${place}/${names.quarantine}`))
    return { _tag: "Quarantine", reason: mark?.reason ?? "The quarantine file is there, and damaged" }
  }

  const wrappers = input.unlockKey === undefined ? readKeyFiles(vfs, directory) : [input.unlockKey]
  if (wrappers.length === 0) {
    return { _tag: "Locked", reason: `The key file ${directory}/${keyFileName} is missing or unreadable` }
  }
  if (!vfs.list(place).includes(names.keys)) {
    return { _tag: "Quarantine", reason: "The file of data keys is missing" }
  }
  const block = readWhole(vfs, `${place}/${names.keys}`)
  for (const wrapper of wrappers) {
    const keys = decodeKeys(cipher, owner, wrapper, block)
    if (keys._tag === "Damaged") return { _tag: "Quarantine", reason: "The file of data keys is damaged" }
    if (keys._tag === "WrongKey") continue
    const recovery = recover({ vfs, cipher, owner, ring: keys.ring, directory: place, limits })
    if (recovery._tag === "Quarantine") return recovery
    // A change of keys that was cut short is completed or taken back, so that one key is left that opens this.
    rewrapAsides(input, wrapper, input.unlockKey)
    settleKeyFiles(vfs, directory, wrapper)
    return { ...recovery, ring: pruneRing(input, place, keys.ring, wrapper, recovery), wrapper }
  }
  return { _tag: "Locked", reason: "The data keys are wrapped by another key" }
}

/** Forgets data keys that no file names any more: a change of the data key ended here, or in an earlier life. */
function pruneRing(
  { vfs, cipher, owner }: OpenInput,
  place: string,
  ring: KeyRing,
  wrapper: Uint8Array,
  { wal }: Recovery
): KeyRing {
  const named = [...wal.segments, ...wal.snapshots].map(({ keyId }) => keyId)
  const kept = ring.filter(({ id }) => named.some((keyId) => sameBytes(keyId, id)))
  if (kept.length < ring.length) placeWhole(vfs, place, names.keys, encodeKeys(cipher, owner, wrapper, kept))
  return kept
}

/** What shows that a log without identity is not merely one whose making was cut short. */
function heldBefore({ vfs, cipher, owner }: OpenInput, place: string): string | undefined {
  const log = vfs.list(`${place}/${names.log}`).find((name) => parseName(name, "seg") !== undefined)
  if (log !== undefined) return `a log segment ${log}`
  const snapshot = vfs
    .list(`${place}/${names.snapshots}`)
    .find((name) => parseName(name, "snap") !== undefined)
  if (snapshot !== undefined) return `a snapshot ${snapshot}`
  for (const name of names.slots) {
    if (!vfs.list(place).includes(name)) continue
    const slot = decodeSlot(cipher, owner, readWhole(vfs, `${place}/${name}`))
    if (slot === undefined) return `a damaged state slot ${name}`
    if (slot.term > 0 || slot.lastSeq > 0) return `a state slot ${name} of term ${slot.term}`
  }
  return undefined
}

/** The identity comes last: with it, everything else is there. */
function initialise(input: OpenInput, place: string): void {
  const { vfs, cipher, owner, directory, nowMs, unlockKey, incarnation = firstIncarnation } = input
  let wrapper = unlockKey ?? readKeyFiles(vfs, directory)[0]
  if (wrapper === undefined) {
    wrapper = cipher.random(keyBytes)
    writeKeyFile(vfs, directory, wrapper)
  }
  placeWhole(vfs, place, names.keys, encodeKeys(cipher, owner, wrapper, [newDataKey(cipher)]))
  for (const [turn, name] of names.slots.entries()) {
    placeWhole(vfs, place, name, encodeSlot(cipher, owner, { turn, term: 0, vote: "", lastSeq: 0 }))
  }
  vfs.syncDirectory(directory)
  placeWhole(vfs, place, names.identity, encodeIdentity(cipher, { ...owner, createdMs: nowMs, incarnation }))
}
