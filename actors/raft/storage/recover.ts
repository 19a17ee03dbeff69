/**
 * Brings a log back after any kind of end: chooses a snapshot, replays the log, and writes what is still needed
 * of it into a fresh segment, or refuses and changes nothing.
 *
 * The rewriting is not thrift. After a failed fsync a page may read back and yet not be on disk; a fresh file
 * with a fresh id puts that right, and no nonce is ever used twice under one key.
 */
import type { Entry } from "#actors/raft/entry.ts"
import { blockBytes } from "#actors/raft/storage/block.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import {
  encodeFrame,
  encodePayload,
  encodeSegmentHead,
  entrySize,
  frameKind,
  idBytes,
  type Owner,
  segmentKey
} from "#actors/raft/storage/frame.ts"
import type { KeyRing } from "#actors/raft/storage/keys.ts"
import { type Limits, names, parseName, segmentName } from "#actors/raft/storage/layout.ts"
import { type Scanned, scan } from "#actors/raft/storage/scan.ts"
import { decodeSlot, encodeSlot, type Slot } from "#actors/raft/storage/slot.ts"
import { checkSnapshot, peekSnapshot, type StoredSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import { DiskError, placeWhole, readWhole, type Vfs } from "#actors/raft/storage/vfs.ts"
import type { FrameAt, WalState } from "#actors/raft/storage/wal-state.ts"
import type { Quarantine, Recovered } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"

const quarantine = (reason: string): Quarantine => ({ _tag: "Quarantine", reason })

// A few frames rather than one, so that reading an entry later does not decrypt everything.
const carriedBytes = 256 * 1024

/** Everything recovery works on. `directory` is the `raft` directory; the identity has been checked. */
export interface RecoverInput {
  readonly vfs: Vfs
  readonly cipher: Cipher
  readonly owner: Owner
  readonly ring: KeyRing
  readonly directory: string
  readonly limits: Limits
}

export interface Recovery {
  readonly _tag: "Recovered"
  readonly recovered: Recovered
  readonly wal: WalState
}

/** Throws `DiskError` and `UnknownFormat`; answers `Quarantine` when acknowledged data cannot be read. */
export function recover(input: RecoverInput): Recovery | Quarantine {
  const { slot, damaged } = readSlots(input)
  if (slot === undefined) return quarantine("Both state slots are damaged or missing")
  const { vfs, cipher, owner, ring, directory } = input
  const log = scan(vfs, cipher, owner, ring, `${directory}/${names.log}`, slot)
  if (log._tag === "Quarantine") return log
  const chosen = chooseSnapshots(input)
  const newest = chosen.sound[0]

  const firstKept = log.entries[0]?.index ?? log.nextIndex
  const base = newest?.index ?? 0
  if (firstKept > base + 1) {
    const blame = chosen.bad.map(({ name, reason }) => ` (${name}: ${reason})`).join("")
    return quarantine(`Entries ${base + 1} to ${firstKept - 1} are in no snapshot and not in the log${blame}`)
  }
  const atBase = log.entries.find(({ index }) => index === base)
  if (newest !== undefined && atBase !== undefined && atBase.term !== newest.term) {
    return quarantine(
      `Snapshot ${newest.name} has term ${newest.term} where the log has term ${atBase.term}: one is another history`
    )
  }

  dropDrafts(input)
  const wal = rewrite(input, slot, log, chosen.sound)
  tidy(input, wal, chosen.bad)
  return {
    _tag: "Recovered",
    wal,
    recovered: {
      hardState: { term: log.term, vote: log.vote },
      commitHint: log.commitHint,
      ...(newest === undefined
        ? {}
        : { snapshot: { index: newest.index, term: newest.term, config: newest.config } }),
      entries: log.entries.filter(({ index }) => index > base),
      lastIndex: wal.nextIndex - 1,
      notes: [
        ...damaged.map((name) => `State slot ${name} was damaged or missing; the other one was used`),
        ...log.notes,
        ...(log.markedSnapshot > base && !chosen.bad.some(({ name }) => isAt(name, log.markedSnapshot))
          ? [
              `The snapshot at entry ${log.markedSnapshot} is gone; the log was replayed from entry ${base + 1}`
            ]
          : []),
        ...chosen.bad.map(({ name, reason }) => `Set aside snapshot ${name}, which cannot be used: ${reason}`)
      ]
    }
  }
}

const isAt = (name: string, index: number): boolean => parseName(name, "snap")?.[0] === index

/** The newer sound slot, and the names of those that are not. */
function readSlots({ vfs, cipher, owner, directory }: RecoverInput): {
  readonly slot: Slot | undefined
  readonly damaged: ReadonlyArray<string>
} {
  const present = vfs.list(directory)
  let newest: Slot | undefined
  const damaged: Array<string> = []
  for (const name of names.slots) {
    const bytes = present.includes(name) ? readWhole(vfs, `${directory}/${name}`) : new Uint8Array(0)
    const slot = decodeSlot(cipher, owner, bytes)
    if (slot === undefined) damaged.push(name)
    else if (newest === undefined || slot.turn > newest.turn) newest = slot
  }
  return { slot: newest, damaged }
}

interface Chosen {
  /** Newest first; the first was read to its end, the others are looked at when they are needed. */
  readonly sound: ReadonlyArray<StoredSnapshot>
  readonly bad: ReadonlyArray<{ readonly name: string; readonly reason: string }>
}

function chooseSnapshots({ vfs, cipher, owner, ring, directory }: RecoverInput): Chosen {
  const place = `${directory}/${names.snapshots}`
  const sound: Array<StoredSnapshot> = []
  const bad: Array<{ name: string; reason: string }> = []
  for (const name of [...vfs.list(place)].reverse()) {
    const numbers = parseName(name, "snap")
    if (numbers === undefined) continue
    const stored = peekSnapshot(vfs, cipher, owner, place, name)
    if (stored === undefined || stored.index !== numbers[0] || stored.term !== numbers[1]) {
      bad.push({ name, reason: "its head is damaged or belongs to another file" })
      continue
    }
    const reason =
      sound.length === 0 ? checkSnapshot(vfs, cipher, owner, ring, `${place}/${name}`) : undefined
    if (reason === undefined) sound.push(stored)
    else bad.push({ name, reason })
  }
  return { sound, bad }
}

/** Puts what is still needed of the log into one fresh segment and witnesses it. */
function rewrite(
  input: RecoverInput,
  slot: Slot,
  log: Scanned,
  snapshots: ReadonlyArray<StoredSnapshot>
): WalState {
  const { vfs, cipher, owner, ring, directory, limits } = input
  const place = `${directory}/${names.log}`
  // The log is kept from the older of two snapshots, so that a bad newest one costs nothing.
  const floor = snapshots[1]?.index ?? 0
  const newestIndex = snapshots[0]?.index ?? 0
  const ahead = newestIndex >= log.nextIndex
  const entries = ahead ? [] : log.entries.filter(({ index }) => index > floor)
  const nextIndex = ahead ? newestIndex + 1 : log.nextIndex
  const firstIndex = entries[0]?.index ?? nextIndex
  const dataKey = ring[0]
  assert(dataKey !== undefined, "there is a data key")

  const fileId = cipher.random(idBytes)
  const firstSeq = Math.max(log.freeSeq, slot.lastSeq + 2)
  const head = {
    fileId,
    keyId: dataKey.id,
    firstSeq,
    firstIndex,
    previousFileId: new Uint8Array(idBytes),
    previousCrc: 0,
    restart: true
  }
  const key = segmentKey(cipher, owner, dataKey.key, fileId)
  const file = vfs.open(`${place}/${names.rewrite}`, "create")
  const frames: Array<FrameAt> = []
  let seq = firstSeq - 1
  let crc = 0
  let offset = blockBytes
  let size: number
  try {
    file.write(0, encodeSegmentHead(cipher, owner, head))
    for (const group of grouped(entries)) {
      const frame = encodeFrame(
        cipher,
        key,
        {
          kind: frameKind.carried,
          seq: ++seq,
          term: log.term,
          commitHint: Math.min(log.commitHint, group.at(-1)?.index ?? nextIndex - 1),
          firstIndex: group[0]?.index ?? nextIndex,
          truncateFrom: 0,
          count: group.length,
          previousCrc: crc
        },
        encodePayload(cipher, log.vote, group)
      )
      file.write(offset, frame.bytes)
      if (group.length > 0) {
        const [firstEntry] = group
        frames.push({
          fileId,
          offset,
          size: frame.bytes.length,
          firstIndex: firstEntry?.index ?? 0,
          count: group.length
        })
      }
      crc = frame.crc
      offset += frame.bytes.length
    }
    size = Math.max(limits.segmentBytes, offset)
    const zeros = new Uint8Array(Math.min(size - offset, 1024 * 1024))
    for (let at = offset; at < size; at += zeros.length) {
      file.write(at, zeros.subarray(0, Math.min(zeros.length, size - at)))
    }
    file.sync()
  } catch (error) {
    // Others on this disk may be in want of room, too.
    if (error instanceof DiskError && error.noSpace) vfs.remove(`${place}/${names.rewrite}`)
    throw error
  } finally {
    file.close()
  }
  const name = segmentName(firstSeq, firstIndex)
  vfs.rename(`${place}/${names.rewrite}`, `${place}/${name}`)
  vfs.syncDirectory(place)

  const witness: Slot = { turn: slot.turn + 1, term: log.term, vote: log.vote, lastSeq: seq }
  placeWhole(
    vfs,
    directory,
    names.slots[witness.turn % 2] ?? names.slots[0],
    encodeSlot(cipher, owner, witness)
  )
  return {
    directory,
    owner,
    ring,
    limits,
    segments: [{ name, fileId, keyId: dataKey.id, firstSeq, firstIndex, bytes: size }],
    offset,
    seq,
    previousCrc: crc,
    term: log.term,
    vote: log.vote,
    nextIndex,
    slot: witness,
    frames,
    snapshots,
    logBytes: entries.filter(({ index }) => index > newestIndex).reduce((sum, one) => sum + entrySize(one), 0)
  }
}

/** What an earlier life had begun is of no use to this one, and where the disk is full it has the room that this one needs. */
function dropDrafts({ vfs, directory }: RecoverInput): void {
  for (const folder of [names.log, names.snapshots]) {
    const place = `${directory}/${folder}`
    for (const name of vfs.list(place)) if (name.endsWith(".tmp")) vfs.remove(`${place}/${name}`)
  }
}

/** At least one group, which may be empty: the hard state needs a frame. */
function grouped(entries: ReadonlyArray<Entry>): ReadonlyArray<ReadonlyArray<Entry>> {
  const groups: Array<Array<Entry>> = [[]]
  let bytes = 0
  for (const entry of entries) {
    if (bytes > 0 && bytes + entrySize(entry) > carriedBytes) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(entry)
    bytes += entrySize(entry)
  }
  return groups
}

/** Removes what the fresh segment supersedes; a crash in the middle only leaves work for the next time. */
function tidy(input: RecoverInput, wal: WalState, bad: Chosen["bad"]): void {
  const { vfs, directory } = input
  const log = `${directory}/${names.log}`
  const kept = wal.segments.map(({ name }) => name)
  for (const name of vfs.list(log)) if (!kept.includes(name)) vfs.remove(`${log}/${name}`)
  vfs.syncDirectory(log)

  const place = `${directory}/${names.snapshots}`
  for (const { name } of bad) vfs.rename(`${place}/${name}`, `${place}/${name}.bad`)
  const useful = wal.snapshots.map(({ name }) => name)
  for (const name of vfs.list(place)) {
    const isSnapshot = parseName(name, "snap") !== undefined
    if (name.endsWith(".tmp") || (isSnapshot && !useful.includes(name))) vfs.remove(`${place}/${name}`)
  }
  vfs.syncDirectory(place)
}
