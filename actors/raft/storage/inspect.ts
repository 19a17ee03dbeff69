/**
 * Reads a log without changing it and without stopping at damage: what is whole in it, and what is not. For people
 * (`troupe log`) and for salvage; a member that starts uses `recover.ts`, which refuses where this goes on.
 *
 * The log may be another process's and may be written to meanwhile: a last frame that is half there is no damage.
 */
import type { Entry, HardState } from "#actors/raft/entry.ts"
import { firstIncarnation, type Incarnation } from "#actors/raft/incarnation.ts"
import { blockBytes } from "#actors/raft/storage/block.ts"
import { allZero, sameBytes } from "#actors/raft/storage/bytes.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import {
  claimedOwner,
  decodeMarker,
  decodePayload,
  decodeSegmentHead,
  type FrameHead,
  frameKind,
  type Owner,
  readFrame,
  type SegmentHead,
  segmentKey
} from "#actors/raft/storage/frame.ts"
import { decodeIdentity } from "#actors/raft/storage/identity.ts"
import { decodeKeys, type KeyRing } from "#actors/raft/storage/keys.ts"
import { names, parseName, raftDirectory } from "#actors/raft/storage/layout.ts"
import { readKeyFiles } from "#actors/raft/storage/node-key.ts"
import { decodeMark } from "#actors/raft/storage/quarantine-mark.ts"
import { decodeSlot, type Slot } from "#actors/raft/storage/slot.ts"
import { checkSnapshot, peekSnapshot, type StoredSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import { DiskError, readWhole, type Vfs } from "#actors/raft/storage/vfs.ts"

/** Something that was whole once and is not: in which file, at which byte, and what is wrong. */
export interface Damage {
  readonly file: string
  readonly at?: number
  readonly reason: string
}

/** A log that can be read: its keys are here. `directory` is the `raft` directory. */
export interface Readable {
  readonly vfs: Vfs
  readonly cipher: Cipher
  readonly directory: string
  readonly owner: Owner
  readonly incarnation: Incarnation
  readonly ring: KeyRing
  /** What opened the data keys. */
  readonly wrapper: Uint8Array
}

/** Nothing of it can be read, and why. */
export class Unreadable extends Error {
  override readonly name = "Unreadable"
}

/** People have the key. */
export class LockedLog extends Unreadable {}

export interface ReadInput {
  readonly vfs: Vfs
  readonly cipher: Cipher
  /** The node's data directory. */
  readonly directory: string
  /** Of the `raft` directory in it: a set-aside log has another name. */
  readonly logName?: string
  readonly unlockKey?: Uint8Array
}

/** Finds whose log it is (from its segments when the identity is damaged) and opens its keys, or throws `Unreadable`. */
export function openReadable(input: ReadInput): Readable & { readonly damage: ReadonlyArray<Damage> } {
  const { vfs, cipher } = input
  const directory =
    input.logName === undefined ? raftDirectory(input.directory) : `${input.directory}/${input.logName}`
  const present = vfs.list(directory)
  if (present.length === 0) throw new Unreadable(`Cannot read ${directory}: there is no log`)
  const damage: Array<Damage> = []
  const identity = present.includes(names.identity)
    ? decodeIdentity(cipher, readWhole(vfs, `${directory}/${names.identity}`))
    : undefined
  if (identity === undefined) damage.push({ file: names.identity, reason: "it is damaged or missing" })
  const owner = identity ?? ownerFromSegments(vfs, cipher, directory)
  if (owner === undefined) throw new Unreadable(`Cannot read ${directory}: nothing says whose log it is`)
  if (!present.includes(names.keys))
    throw new Unreadable(`Cannot read ${directory}: its data keys are missing`)
  const block = readWhole(vfs, `${directory}/${names.keys}`)
  const wrappers = [
    ...(input.unlockKey === undefined ? [] : [input.unlockKey]),
    ...readKeyFiles(vfs, input.directory)
  ]
  for (const wrapper of wrappers) {
    const read = decodeKeys(cipher, owner, wrapper, block)
    if (read._tag === "Damaged") throw new Unreadable(`Cannot read ${directory}: its data keys are damaged`)
    if (read._tag === "Opened") {
      return {
        vfs,
        cipher,
        directory,
        owner: { clusterId: owner.clusterId, nodeId: owner.nodeId },
        incarnation: identity?.incarnation ?? firstIncarnation,
        ring: read.ring,
        wrapper,
        damage
      }
    }
  }
  throw new LockedLog(
    `Cannot read ${directory}: it opens with the cluster's unlock key, or with the file node-key that was beside it, and neither is here`
  )
}

/** Whether the keys at hand open the log; true where there is none, or where it is not for want of a key. */
export function canOpen(input: ReadInput): boolean {
  try {
    openReadable(input)
    return true
  } catch (error) {
    return !(error instanceof LockedLog)
  }
}

function ownerFromSegments(vfs: Vfs, cipher: Cipher, directory: string): Owner | undefined {
  for (const name of vfs.list(`${directory}/${names.log}`)) {
    if (parseName(name, "seg") === undefined) continue
    const block = readWhole(vfs, `${directory}/${names.log}/${name}`).subarray(0, blockBytes)
    const owner = claimedOwner(block)
    if (owner !== undefined && decodeSegmentHead(cipher, owner, block) !== undefined) return owner
  }
  return undefined
}

/** What the segments hold, in order. `Torn` is the last frame, half written; `Damage` says what is missing where. */
export type Sighting =
  | {
      readonly _tag: "Frame"
      readonly file: string
      readonly at: number
      readonly head: FrameHead
      readonly vote: string
      readonly entries: ReadonlyArray<Entry>
      /** The snapshot that a marker names. */
      readonly snapshot?: { readonly index: number; readonly term: number }
    }
  | ({ readonly _tag: "Damage" } & Damage)
  | ({ readonly _tag: "Torn" } & Damage)

interface SegmentRead {
  readonly name: string
  readonly bytes: Uint8Array
  readonly head: SegmentHead | undefined
}

/** The segments that count, oldest first, one at a time: a restart supersedes those before it. */
function* segments({
  vfs,
  cipher,
  directory,
  owner
}: Readable): Generator<SegmentRead & { readonly isLast: boolean }> {
  const place = `${directory}/${names.log}`
  const found = vfs.list(place).filter((name) => parseName(name, "seg") !== undefined)
  const headOf = (bytes: Uint8Array): SegmentHead | undefined =>
    decodeSegmentHead(cipher, owner, bytes.subarray(0, blockBytes))
  let first = 0
  for (const [i, name] of found.entries()) {
    const bytes = readIfThere(vfs, `${place}/${name}`)
    if (bytes !== undefined && headOf(bytes)?.restart === true) first = i
  }
  for (const [i, name] of found.entries()) {
    if (i < first) continue
    // Removed since it was listed: a snapshot has made it needless.
    const bytes = readIfThere(vfs, `${place}/${name}`)
    if (bytes !== undefined) yield { name, bytes, head: headOf(bytes), isLast: i === found.length - 1 }
  }
}

function readIfThere(vfs: Vfs, path: string): Uint8Array | undefined {
  try {
    return readWhole(vfs, path)
  } catch (error) {
    if (error instanceof DiskError && error.code === "ENOENT") return undefined
    throw error
  }
}

/** Every frame that is whole, and between them what is not. */
export function* sightings(log: Readable): Generator<Sighting> {
  const { cipher, owner, ring } = log
  let expected: number | undefined
  for (const { name, bytes, head, isLast } of segments(log)) {
    const file = `${names.log}/${name}`
    if (head === undefined) {
      yield { _tag: "Damage", file, at: 0, reason: "the head of the segment is damaged or another member's" }
      continue
    }
    const dataKey = ring.find(({ id }) => sameBytes(id, head.keyId))
    if (dataKey === undefined) {
      yield { _tag: "Damage", file, at: 0, reason: "its data key is not in the key file" }
      continue
    }
    const key = segmentKey(cipher, owner, dataKey.key, head.fileId)
    expected ??= head.firstSeq
    let broken: { readonly at: number; readonly reason: string } | undefined
    let offset = blockBytes
    while (offset < bytes.length) {
      const frame = readFrame(cipher, key, bytes, offset)
      const inOrder = frame._tag === "Frame" && frame.head.seq >= expected
      if (!inOrder) {
        if (frame._tag === "Blank" && allZero(bytes, offset)) break
        broken ??= {
          at: offset,
          reason: frame._tag === "Broken" ? frame.reason : "a stale or misplaced write"
        }
        offset += blockBytes
        continue
      }
      if (broken !== undefined || frame.head.seq !== expected) {
        const at = broken?.at ?? offset
        const why = broken?.reason ?? "nothing is between the frames around them"
        const last = frame.head.seq - 1
        const what = last > expected ? `frames ${expected} to ${last} are` : `frame ${expected} is`
        yield { _tag: "Damage", file, at, reason: `${what} damaged or lost: ${why}` }
        broken = undefined
      }
      expected = frame.head.seq + 1
      const marker = frame.head.kind === frameKind.marker ? decodeMarker(frame.payload) : undefined
      const batch = marker === undefined ? decodePayload(cipher, frame.head, frame.payload) : undefined
      if (marker !== undefined) {
        const { vote, index, term } = marker
        yield {
          _tag: "Frame",
          file,
          at: offset,
          head: frame.head,
          vote,
          entries: [],
          snapshot: { index, term }
        }
      } else if (batch !== undefined) {
        yield { _tag: "Frame", file, at: offset, head: frame.head, ...batch }
      } else yield { _tag: "Damage", file, at: offset, reason: "the frame's contents make no sense" }
      offset += frame.size
    }
    if (broken !== undefined) yield { _tag: isLast ? "Torn" : "Damage", file, ...broken }
  }
}

/** What one log has. `entries` are those that are whole, by index, as the log left them; there may be holes. */
export interface Inspection {
  readonly owner: Owner
  readonly hardState: HardState
  readonly commitHint: number
  readonly entries: ReadonlyMap<number, Entry>
  /** Newest first. */
  readonly snapshots: ReadonlyArray<StoredSnapshot>
  readonly damage: ReadonlyArray<Damage>
  readonly quarantined?: string
}

/** Reads everything, and checks every byte of it. */
export function inspect(log: Readable & { readonly damage?: ReadonlyArray<Damage> }): Inspection {
  const { vfs, cipher, owner, directory } = log
  const damage: Array<Damage> = [...(log.damage ?? [])]
  const entries = new Map<number, Entry>()
  let hardState: HardState = { term: 0, vote: "" }
  let commitHint = 0
  let highest = 0
  let lastSeq = 0
  for (const seen of sightings(log)) {
    if (seen._tag === "Damage") damage.push({ file: seen.file, at: seen.at ?? 0, reason: seen.reason })
    if (seen._tag !== "Frame") continue
    const { head } = seen
    lastSeq = head.seq
    if (head.truncateFrom > 0) for (let i = head.truncateFrom; i <= highest; i++) entries.delete(i)
    for (const entry of seen.entries) {
      entries.set(entry.index, entry)
      highest = Math.max(highest, entry.index)
    }
    commitHint = Math.max(commitHint, head.commitHint)
    if (head.term >= hardState.term) hardState = { term: head.term, vote: seen.vote }
  }
  const slot = newestSlot(log, damage)
  if (slot !== undefined && slot.lastSeq > lastSeq) {
    damage.push({
      file: names.log,
      reason: `it ends at frame ${lastSeq}, but frame ${slot.lastSeq} was acknowledged`
    })
  }
  if (slot !== undefined && slot.term > hardState.term) hardState = { term: slot.term, vote: slot.vote }
  const snapshots = soundSnapshots(log, damage)
  const mark = vfs.list(directory).includes(names.quarantine)
    ? (decodeMark(cipher, readWhole(vfs, `${directory}/${names.quarantine}`))?.reason ??
      "its mark is damaged")
    : undefined
  return {
    owner,
    hardState,
    commitHint,
    entries,
    snapshots,
    damage,
    ...(mark === undefined ? {} : { quarantined: mark })
  }
}

function newestSlot({ vfs, cipher, owner, directory }: Readable, damage: Array<Damage>): Slot | undefined {
  let newest: Slot | undefined
  for (const name of names.slots) {
    const bytes = readIfThere(vfs, `${directory}/${name}`)
    const slot = bytes === undefined ? undefined : decodeSlot(cipher, owner, bytes)
    if (slot === undefined) damage.push({ file: name, reason: "it is damaged or missing" })
    else if (newest === undefined || slot.turn > newest.turn) newest = slot
  }
  return newest
}

function soundSnapshots(log: Readable, damage: Array<Damage>): ReadonlyArray<StoredSnapshot> {
  const { vfs, cipher, owner, ring, directory } = log
  const place = `${directory}/${names.snapshots}`
  const sound: Array<StoredSnapshot> = []
  for (const name of [...vfs.list(place)].reverse()) {
    const numbers = parseName(name, "snap")
    if (numbers === undefined) continue
    try {
      const stored = peekSnapshot(vfs, cipher, owner, place, name)
      const reason =
        stored === undefined || stored.index !== numbers[0] || stored.term !== numbers[1]
          ? "its head is damaged or belongs to another file"
          : checkSnapshot(vfs, cipher, owner, ring, `${place}/${name}`)
      if (stored !== undefined && reason === undefined) sound.push(stored)
      else damage.push({ file: `${names.snapshots}/${name}`, reason: reason ?? "it is damaged" })
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== "ENOENT") throw error
    }
  }
  return sound
}
