/**
 * Writes the log: one frame after another into zeroed segments, each durable before the next is begun.
 *
 * Synchronous, over a `Vfs`. In production it lives in a thread of its own (`worker.ts`), in tests and simulation
 * it runs in place. Any error it throws is final: the caller ends the process and never tries again.
 */
import type { Entry } from "#actors/raft/entry.ts"
import { blockBytes } from "#actors/raft/storage/block.ts"
import { hex, sameBytes } from "#actors/raft/storage/bytes.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import {
  decodePayload,
  encodeFrame,
  encodeMarker,
  encodeSegmentHead,
  type FileKey,
  frameKind,
  frameSize,
  idBytes,
  readFrame,
  segmentKey
} from "#actors/raft/storage/frame.ts"
import type { DataKey, KeyRing } from "#actors/raft/storage/keys.ts"
import { names, segmentName } from "#actors/raft/storage/layout.ts"
import { encodeMark } from "#actors/raft/storage/quarantine-mark.ts"
import { Scrubber } from "#actors/raft/storage/scrubber.ts"
import { encodeSlot } from "#actors/raft/storage/slot.ts"
import { SnapshotDraft, type StoredSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import { DiskError, placeWhole, type Vfs, type VfsFile } from "#actors/raft/storage/vfs.ts"
import type { EncodedBatch, FrameAt, KeyChange, SegmentAt, WalState } from "#actors/raft/storage/wal-state.ts"
import type { Damage, ScrubStatus, SnapshotMeta } from "#actors/raft/storage.ts"
import { assert } from "#runtime/assert.ts"

/** Acknowledged data cannot be read back; the next start says what is wrong and quarantines. */
export class UnreadableLog extends Error {
  override readonly name = "UnreadableLog"
}

/** What is worth telling after each write. `low`: there is too little room for new entries. */
export interface WalStatus extends ScrubStatus {
  readonly diskBytes: number
  readonly logBytes: number
  readonly snapshotIndex: number
  readonly snapshotBytes: number
  readonly low: boolean
}

/** The log goes back to the older of two, so that a bad newest one costs nothing. Others are for people. */
const neededSnapshots = 2
// The first holds what a busy log writes at a time, the second what one entry may be.
const usualRoomBytes = 64 * 1024
const keptRoomBytes = 2 * 1024 * 1024

export class Wal {
  readonly #vfs: Vfs
  readonly #cipher: Cipher
  readonly #state: WalState
  readonly #place: string
  readonly #snapshotsPlace: string
  readonly #keys = new Map<string, FileKey>()
  #lastKey: { readonly fileId: Uint8Array; readonly key: FileKey } | undefined
  #ring: KeyRing
  /** The file of data keys as it will be once nothing is sealed with an older one. */
  #keysAfter: Uint8Array | undefined
  readonly #slotFiles: ReadonlyArray<VfsFile>
  #segments: Array<SegmentAt>
  #frames: Array<FrameAt>
  #snapshots: Array<StoredSnapshot>
  #file: VfsFile
  #offset: number
  #seq: number
  #previousCrc: number
  #term: number
  #vote: string
  #nextIndex: number
  #slot: WalState["slot"]
  #logBytes: number
  #logBytesAtDraft = 0
  #lastFrameBytes = 0
  #room = new Uint8Array(usualRoomBytes)
  #spare: { readonly file: VfsFile; zeroed: number } | undefined
  #low = false
  #scrubs = 0
  #damage: ReadonlyArray<Damage> = []
  /** How many snapshots stay. Before it is told, as many as there are. */
  #keeps: number

  constructor(vfs: Vfs, cipher: Cipher, state: WalState) {
    this.#vfs = vfs
    this.#cipher = cipher
    this.#state = state
    this.#place = `${state.directory}/${names.log}`
    this.#snapshotsPlace = `${state.directory}/${names.snapshots}`
    this.#ring = state.ring
    this.#segments = [...state.segments]
    this.#frames = [...state.frames]
    this.#snapshots = [...state.snapshots]
    this.#keeps = Math.max(neededSnapshots, state.snapshots.length)
    this.#offset = state.offset
    this.#seq = state.seq
    this.#previousCrc = state.previousCrc
    this.#term = state.term
    this.#vote = state.vote
    this.#nextIndex = state.nextIndex
    this.#slot = state.slot
    this.#logBytes = state.logBytes
    this.#file = vfs.open(`${this.#place}/${this.#active.name}`, "durable")
    this.#slotFiles = names.slots.map((name) => vfs.open(`${state.directory}/${name}`, "durable"))
    this.measureRoom()
  }

  get #dataKey(): DataKey {
    const [newest] = this.#ring
    assert(newest !== undefined, "there is a data key")
    return newest
  }

  get #active(): SegmentAt {
    const active = this.#segments.at(-1)
    assert(active !== undefined, "there is always a segment to write to")
    return active
  }

  /** Makes a batch durable. For want of room it throws before anything has changed, and may be tried again. */
  append(batch: EncodedBatch): void {
    assert(batch.term >= this.#term, "a term never goes back")
    this.#makeRoom(frameSize(batch.payload.length), batch.firstIndex)
    if (batch.truncateFrom > 0) this.#forget(batch.truncateFrom)
    assert(batch.firstIndex === this.#nextIndex, "entries arrive without gaps")
    const lastIndex = batch.firstIndex + batch.count - 1
    const changed = batch.term !== this.#term || batch.vote !== this.#vote
    this.#term = batch.term
    this.#vote = batch.vote
    const commitHint = Math.min(batch.commitHint, lastIndex)
    const at = this.#write(
      { ...batch, kind: frameKind.batch, commitHint, truncateFrom: batch.truncateFrom },
      batch.payload
    )
    if (batch.count > 0) this.#frames.push({ ...at, firstIndex: batch.firstIndex, count: batch.count })
    this.#nextIndex = lastIndex + 1
    if (changed) this.witness()
  }

  /** Writes down how far the log reaches, so that a later loss of its end is noticed. */
  witness(): void {
    if (this.#slot.lastSeq === this.#seq && this.#slot.term === this.#term) return
    const slot = {
      turn: this.#slot.turn + 1,
      term: this.#term,
      vote: this.#vote,
      lastSeq: this.#seq
    }
    this.#slotFiles[slot.turn % 2]?.write(0, encodeSlot(this.#cipher, this.#state.owner, slot))
    this.#slot = slot
  }

  /**
   * Does a little of what the next segment needs; true while there is more to do. Running out of room here
   * harms nothing yet: it refuses new entries until there is room again.
   */
  prepare(): boolean {
    if (!this.wantsPreparation()) return false
    try {
      this.#zero(this.#wantedSpare, this.#state.limits.zeroBytes)
    } catch (error) {
      if (!(error instanceof DiskError) || !error.noSpace) throw error
      this.#dropSpare()
      this.#low = true
    }
    return this.wantsPreparation()
  }

  /** Whether `prepare` has something to do. */
  wantsPreparation(): boolean {
    return !this.#low && (this.#spare?.zeroed ?? 0) < this.#wantedSpare
  }

  /** Beside large frames, which need no zeros, only what small ones and votes may want next. */
  get #wantedSpare(): number {
    const { segmentBytes, zeroBytes } = this.#state.limits
    return this.#isLarge(this.#lastFrameBytes) ? Math.min(zeroBytes, segmentBytes) : segmentBytes
  }

  /** Looks whether there is room for new entries. */
  measureRoom(): void {
    const { limits, directory } = this.#state
    // The spare, while it is not there yet, must fit beside the reserve.
    const spare = Math.max(0, limits.segmentBytes - (this.#spare?.zeroed ?? 0))
    this.#low = this.#vfs.freeBytes(directory) < limits.reserveBytes + spare
  }

  /** Entries from the log, at least one, up to `maxBytes` of frames. */
  read(from: number, to: number, maxBytes: number): ReadonlyArray<Entry> {
    const entries: Array<Entry> = []
    let bytes = 0
    for (const at of this.#frames) {
      if (at.firstIndex + at.count <= from) continue
      if (at.firstIndex > to || (bytes > 0 && bytes + at.size > maxBytes)) break
      bytes += at.size
      for (const entry of this.#entriesOf(at)) {
        if (entry.index >= from && entry.index <= to) entries.push(entry)
      }
    }
    if (entries[0]?.index !== from) throw new UnreadableLog(`Cannot read entry ${from}: it is not in the log`)
    return entries
  }

  /** Begins a snapshot; its file is a draft until `adopt`. */
  draft(meta: SnapshotMeta): SnapshotDraft {
    this.#logBytesAtDraft = this.#logBytes
    return new SnapshotDraft(
      this.#vfs,
      this.#cipher,
      this.#state.owner,
      this.#dataKey,
      this.#snapshotsPlace,
      meta
    )
  }

  /**
   * Marks a snapshot that is in place, and only then drops what two snapshots make needless. Without room for the
   * mark the snapshot is removed and the log is as it was.
   */
  adopt(stored: StoredSnapshot): void {
    const marker = encodeMarker(this.#vote, stored)
    const isAhead = stored.index >= this.#nextIndex
    const nextIndex = isAhead ? stored.index + 1 : this.#nextIndex
    try {
      this.#makeRoom(frameSize(marker.length), nextIndex)
    } catch (error) {
      if (error instanceof DiskError && error.noSpace) this.#discard(stored)
      throw error
    }
    if (isAhead) this.#frames = []
    this.#nextIndex = nextIndex
    this.#write(
      {
        kind: frameKind.marker,
        term: this.#term,
        commitHint: stored.index,
        firstIndex: this.#nextIndex,
        truncateFrom: 0,
        count: 0
      },
      marker
    )
    this.witness()
    this.#logBytes -= this.#logBytesAtDraft
    this.#snapshots = [stored, ...this.#snapshots.filter(({ name }) => name !== stored.name)]
    const bad = this.#snapshots.findIndex(({ name }) => name !== stored.name && this.#isDamaged(name))
    if (bad > 0) this.#setAside(bad)
    // What has rotted is replaced, or written anew under its name.
    this.#damage = this.#damage.filter(({ of }) => of !== "snapshot")
    this.#dropNeedless()
  }

  /** Keeps so many snapshots beside the newest from now on, and one at least. */
  keepSnapshots(old: number): void {
    this.#keeps = Math.max(neededSnapshots, old + 1)
    this.#dropSnapshots()
    this.#dropKeys()
  }

  status(): WalStatus {
    let diskBytes = this.#spare?.zeroed ?? 0
    for (const segment of this.#segments) diskBytes += segment.bytes
    for (const snapshot of this.#snapshots) diskBytes += snapshot.bytes
    return {
      diskBytes,
      logBytes: this.#logBytes,
      snapshotIndex: this.#snapshots[0]?.index ?? 0,
      snapshotBytes: this.#snapshots[0]?.bytes ?? 0,
      low: this.#low,
      scrubs: this.#scrubs,
      damage: this.#damage
    }
  }

  /** A round over everything that is on disk now; the caller takes its steps. */
  scrub(): Scrubber {
    const scope = {
      directory: this.#state.directory,
      owner: this.#state.owner,
      ring: this.#ring,
      segments: [...this.#segments],
      offset: this.#offset,
      snapshots: [...this.#snapshots]
    }
    return new Scrubber(this.#vfs, this.#cipher, scope, (damage) => this.#note(damage))
  }

  endScrub(): void {
    this.#scrubs++
  }

  /** A damaged snapshot that is only the reserve is set aside; the newest waits for its successor. */
  #note(damage: Damage): void {
    if (!this.#damage.some(({ file }) => file === damage.file)) this.#damage = [...this.#damage, damage]
    const at = this.#snapshots.findIndex(({ name }) => damage.file === `${names.snapshots}/${name}`)
    if (at > 0) this.#setAside(at)
  }

  #isDamaged(name: string): boolean {
    return this.#damage.some(({ file }) => file === `${names.snapshots}/${name}`)
  }

  /** One that was never marked; nobody knows of it. */
  #discard({ name }: StoredSnapshot): void {
    if (this.#snapshots.some((known) => known.name === name)) return
    this.#vfs.remove(`${this.#snapshotsPlace}/${name}`)
    this.#vfs.syncDirectory(this.#snapshotsPlace)
  }

  #setAside(at: number): void {
    const [bad] = this.#snapshots.splice(at, 1)
    if (bad === undefined) return
    this.#vfs.rename(`${this.#snapshotsPlace}/${bad.name}`, `${this.#snapshotsPlace}/${bad.name}.bad`)
    this.#vfs.syncDirectory(this.#snapshotsPlace)
  }

  /** There was no room for something that can wait. */
  refuseEntries(): void {
    this.#low = true
  }

  /**
   * Puts the file of data keys in place as `keys`. With `dataKey`, what is written from now on is sealed with it,
   * and the file becomes `keysAfter` when nothing older is left.
   */
  changeKeys(change: KeyChange): void {
    placeWhole(this.#vfs, this.#state.directory, names.keys, change.keys)
    if (change.dataKey !== undefined) this.#ring = [change.dataKey, ...this.#ring]
    this.#keysAfter = change.keysAfter
    this.#dropKeys()
  }

  /** Makes it durable that this log takes no part any more; nothing may be asked after it. */
  quarantine(reason: string): void {
    const { directory, owner } = this.#state
    const mark = encodeMark(this.#cipher, { nodeId: owner.nodeId, reason, successor: "" })
    placeWhole(this.#vfs, directory, names.quarantine, mark)
    this.#file.close()
    for (const file of this.#slotFiles) file.close()
  }

  close(): void {
    this.witness()
    this.#dropSpare()
    this.#file.close()
    for (const file of this.#slotFiles) file.close()
  }

  #write(
    head: {
      readonly kind: number
      readonly term: number
      readonly commitHint: number
      readonly firstIndex: number
      readonly truncateFrom: number
      readonly count: number
    },
    payload: Uint8Array
  ): { readonly fileId: Uint8Array; readonly offset: number; readonly size: number } {
    const size = frameSize(payload.length)
    this.#makeRoom(size, head.firstIndex)
    const isFirst = this.#offset === blockBytes
    const { fileId } = this.#active
    const frame = encodeFrame(
      this.#cipher,
      this.#keyOf(fileId),
      {
        kind: head.kind,
        seq: this.#seq + 1,
        term: head.term,
        commitHint: head.commitHint,
        firstIndex: head.firstIndex,
        truncateFrom: head.truncateFrom,
        count: head.count,
        previousCrc: this.#previousCrc
      },
      payload,
      this.#roomFor(size)
    )
    this.#file.write(this.#offset, frame.bytes)
    const at = { fileId, offset: this.#offset, size }
    this.#seq++
    this.#lastFrameBytes = size
    this.#previousCrc = frame.crc
    this.#offset += size
    this.#logBytes += size
    if (this.#offset > this.#active.bytes) {
      this.#segments[this.#segments.length - 1] = { ...this.#active, bytes: this.#offset }
      this.measureRoom()
    }
    // Without this, losing the whole segment would look like never having had it.
    if (isFirst) this.witness()
    return at
  }

  /** Frames are put together in one place: for large ones, touching new memory costs more than all else. */
  #roomFor(frameBytes: number): Uint8Array {
    if (this.#room.length >= frameBytes) return this.#room
    const room = new Uint8Array(frameBytes)
    if (frameBytes <= keptRoomBytes) this.#room = room
    return room
  }

  /**
   * A large frame needs no zeros to go over: it makes its file longer, which costs less than writing its place
   * twice. Small ones keep to zeroed ground, so that terms and votes never need room that is not there.
   */
  #isLarge(frameBytes: number): boolean {
    return frameBytes >= this.#state.limits.zeroBytes
  }

  #fits(frameBytes: number): boolean {
    const end = this.#offset + frameBytes
    if (!this.#isLarge(frameBytes)) return end <= this.#active.bytes
    return this.#offset === blockBytes || end <= Math.max(this.#active.bytes, this.#state.limits.segmentBytes)
  }

  /** The next frame goes to a segment that has room for it and is sealed with the newest key. */
  #makeRoom(frameBytes: number, firstIndex: number): void {
    const outdated = !sameBytes(this.#active.keyId, this.#dataKey.id)
    if (outdated || !this.#fits(frameBytes)) this.#roll(frameBytes, firstIndex)
    const grows = this.#offset + frameBytes - this.#active.bytes
    // A frame that is written in part is an error like any other.
    if (grows > 0 && this.#vfs.freeBytes(this.#place) < grows)
      throw new DiskError("write", `${this.#place}/${this.#active.name}`, "ENOSPC", "no space left on device")
  }

  #roll(frameBytes: number, firstIndex: number): void {
    const { segmentBytes, zeroBytes } = this.#state.limits
    const own = this.#isLarge(frameBytes) ? 0 : frameBytes
    const needed = Math.max(blockBytes + own, Math.min(zeroBytes, segmentBytes))
    while (this.#spare === undefined || this.#spare.zeroed < needed) this.#zero(needed, needed)
    const spare = this.#spare
    const fileId = this.#cipher.random(idBytes)
    const firstSeq = this.#seq + 1
    spare.file.write(
      0,
      encodeSegmentHead(this.#cipher, this.#state.owner, {
        fileId,
        keyId: this.#dataKey.id,
        firstSeq,
        firstIndex,
        previousFileId: this.#active.fileId,
        previousCrc: this.#previousCrc,
        restart: false
      })
    )
    spare.file.sync()
    spare.file.close()
    this.#spare = undefined
    const name = segmentName(firstSeq, firstIndex)
    this.#vfs.rename(`${this.#place}/${names.spare}`, `${this.#place}/${name}`)
    this.#vfs.syncDirectory(this.#place)
    this.#file.close()
    this.#file = this.#vfs.open(`${this.#place}/${name}`, "durable")
    this.#segments.push({ name, fileId, keyId: this.#dataKey.id, firstSeq, firstIndex, bytes: spare.zeroed })
    this.#offset = blockBytes
    this.measureRoom()
  }

  #zero(wanted: number, step: number): void {
    this.#spare ??= {
      file: this.#vfs.open(`${this.#place}/${names.spare}`, "create"),
      zeroed: 0
    }
    const spare = this.#spare
    const length = Math.min(step, wanted - spare.zeroed)
    if (length > 0) {
      spare.file.write(spare.zeroed, new Uint8Array(length))
      spare.file.sync()
      spare.zeroed += length
    }
  }

  #dropSpare(): void {
    if (this.#spare === undefined) return
    this.#spare.file.close()
    this.#spare = undefined
    this.#vfs.remove(`${this.#place}/${names.spare}`)
  }

  #forget(from: number): void {
    const snapshotIndex = this.#snapshots[0]?.index ?? 0
    assert(from > snapshotIndex, "what a snapshot covers is never truncated")
    while ((this.#frames.at(-1)?.firstIndex ?? 0) >= from) this.#frames.pop()
    const last = this.#frames.at(-1)
    if (last !== undefined && last.firstIndex + last.count > from) {
      this.#frames[this.#frames.length - 1] = { ...last, count: from - last.firstIndex }
    }
    this.#nextIndex = Math.min(this.#nextIndex, from)
  }

  #dropSnapshots(): void {
    const needless = this.#snapshots.splice(this.#keeps)
    for (const { name } of needless) this.#vfs.remove(`${this.#snapshotsPlace}/${name}`)
    if (needless.length > 0) this.#vfs.syncDirectory(this.#snapshotsPlace)
  }

  #dropNeedless(): void {
    this.#dropSnapshots()
    const floor = this.#snapshots[1]?.index ?? 0
    let dropped = false
    while ((this.#segments[1]?.firstIndex ?? Number.POSITIVE_INFINITY) <= floor + 1) {
      const oldest = this.#segments.shift()
      if (oldest === undefined) break
      this.#vfs.remove(`${this.#place}/${oldest.name}`)
      this.#keys.delete(hex(oldest.fileId))
      this.#damage = this.#damage.filter(({ file }) => file !== `${names.log}/${oldest.name}`)
      const id = hex(oldest.fileId)
      this.#frames = this.#frames.filter((at) => hex(at.fileId) !== id)
      dropped = true
    }
    if (dropped) this.#vfs.syncDirectory(this.#place)
    this.#dropKeys()
  }

  /** Once nothing is sealed with an older data key, the file of data keys forgets it. */
  #dropKeys(): void {
    if (this.#keysAfter === undefined) return
    const { id } = this.#dataKey
    if (![...this.#segments, ...this.#snapshots].every(({ keyId }) => sameBytes(keyId, id))) return
    placeWhole(this.#vfs, this.#state.directory, names.keys, this.#keysAfter)
    this.#keysAfter = undefined
    this.#ring = [this.#dataKey]
  }

  #keyOf(fileId: Uint8Array): FileKey {
    if (this.#lastKey?.fileId === fileId) return this.#lastKey.key
    const key = this.#findKey(fileId)
    this.#lastKey = { fileId, key }
    return key
  }

  #findKey(fileId: Uint8Array): FileKey {
    const name = hex(fileId)
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    const segment = this.#segments.find((one) => sameBytes(one.fileId, fileId))
    const dataKey = this.#ring.find(({ id }) => segment !== undefined && sameBytes(id, segment.keyId))
    assert(dataKey !== undefined, "a segment's data key is there")
    const key = segmentKey(this.#cipher, this.#state.owner, dataKey.key, fileId)
    this.#keys.set(name, key)
    return key
  }

  #entriesOf(at: FrameAt): ReadonlyArray<Entry> {
    const id = hex(at.fileId)
    const segment = this.#segments.find(({ fileId }) => hex(fileId) === id)
    assert(segment !== undefined, "a frame's segment is there")
    const file = this.#vfs.open(`${this.#place}/${segment.name}`, "read")
    try {
      const frame = readFrame(this.#cipher, this.#keyOf(at.fileId), file.read(at.offset, at.size), 0)
      const where = `entries from ${at.firstIndex} at byte ${at.offset} of log segment ${segment.name}`
      if (frame._tag !== "Frame") {
        throw new UnreadableLog(
          `Cannot read ${where}: ${frame._tag === "Blank" ? "nothing is there" : frame.reason}`
        )
      }
      const batch = decodePayload(this.#cipher, frame.head, frame.payload)
      if (batch === undefined) throw new UnreadableLog(`Cannot read ${where}: an entry's checksum is wrong`)
      return batch.entries.slice(0, at.count)
    } finally {
      file.close()
    }
  }
}
