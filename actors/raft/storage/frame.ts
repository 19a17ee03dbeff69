/**
 * The log's bytes: segments of frames, frames of entries. Pure; the checksums and the encryption are arguments.
 *
 * A frame is one atomic batch, aligned to 4 KiB so that a write never touches a sector that holds acknowledged
 * data. Its payload is sealed under the segment's own key, with the frame's sequence number as nonce and its
 * header as bound data. README.md has the picture.
 */
import type { Entry } from "#actors/raft/entry.ts"
import {
  blockBytes,
  decodeBlock,
  encodeBlock,
  formatVersion,
  magic,
  UnknownFormat
} from "#actors/raft/storage/block.ts"
import { allZero, Malformed, Reader, utf8, Writer } from "#actors/raft/storage/bytes.ts"
import { type Cipher, nonceBytes, tagBytes } from "#actors/raft/storage/cipher.ts"
import { assert } from "#runtime/assert.ts"

/** Whose log this is; written once, bound into every checksum and key. */
export interface Owner {
  readonly clusterId: string
  readonly nodeId: string
}

export const idBytes = 16

export const ownerSalt = (cipher: Cipher, owner: Owner): number =>
  cipher.crc32(utf8(`${owner.clusterId}\n${owner.nodeId}`))

/** The head of a segment. `restart`: everything before it is superseded, it begins with a checkpoint frame. */
export interface SegmentHead {
  readonly fileId: Uint8Array
  readonly keyId: Uint8Array
  readonly firstSeq: number
  readonly firstIndex: number
  readonly previousFileId: Uint8Array
  readonly previousCrc: number
  readonly restart: boolean
}

export const encodeSegmentHead = (cipher: Cipher, owner: Owner, head: SegmentHead): Uint8Array =>
  encodeBlock(cipher, magic.segment, ownerSalt(cipher, owner), (fields) => {
    fields.raw(head.fileId)
    fields.raw(head.keyId)
    fields.u64(head.firstSeq)
    fields.u64(head.firstIndex)
    fields.raw(head.previousFileId)
    fields.u32(head.previousCrc)
    fields.u8(head.restart ? 1 : 0)
    fields.string(owner.clusterId)
    fields.string(owner.nodeId)
  })

/** `undefined` when damaged or another member's. */
export const decodeSegmentHead = (cipher: Cipher, owner: Owner, block: Uint8Array): SegmentHead | undefined =>
  decodeBlock(cipher, magic.segment, ownerSalt(cipher, owner), block, (fields) => {
    const head: SegmentHead = {
      fileId: fields.raw(idBytes).slice(),
      keyId: fields.raw(idBytes).slice(),
      firstSeq: fields.u64(),
      firstIndex: fields.u64(),
      previousFileId: fields.raw(idBytes).slice(),
      previousCrc: fields.u32(),
      restart: fields.u8() === 1
    }
    if (fields.string() !== owner.clusterId || fields.string() !== owner.nodeId) {
      throw new Malformed("another member's segment")
    }
    return head
  })

/** Whom the head of a segment says it belongs to, unchecked: `decodeSegmentHead` tells whether that is true. */
export function claimedOwner(block: Uint8Array): Owner | undefined {
  try {
    const fields = new Reader(block, 6 + 2 * idBytes + 16 + idBytes + 5)
    return { clusterId: fields.string(), nodeId: fields.string() }
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

/** What sealing and checking the frames of one file needs. */
export interface FileKey {
  readonly key: Uint8Array
  readonly salt: number
}

export const segmentKey = (
  cipher: Cipher,
  owner: Owner,
  dataKey: Uint8Array,
  fileId: Uint8Array
): FileKey => ({
  key: cipher.deriveKey(dataKey, fileId, `troupe raft segment 1\n${owner.clusterId}\n${owner.nodeId}`),
  salt: cipher.crc32(fileId, ownerSalt(cipher, owner))
})

export const frameKind = {
  /** A batch of consensus. */
  batch: 1,
  /** The first frame of a rewritten log: hard state, and entries carried over. */
  carried: 2,
  /** Says that a snapshot is durable; its payload names it. */
  marker: 3
} as const

export interface FrameHead {
  readonly kind: number
  readonly seq: number
  readonly term: number
  readonly commitHint: number
  /** Of the first entry; without entries, of the entry that would come next. */
  readonly firstIndex: number
  /** 0 when nothing is truncated. */
  readonly truncateFrom: number
  readonly count: number
  readonly previousCrc: number
}

const headBytes = 68
const headCrcAt = headBytes - 4
const entryHeadBytes = 25

/** Bytes a frame with this much payload takes in its file. */
export const frameSize = (payloadBytes: number): number =>
  Math.ceil((headBytes + payloadBytes + tagBytes + 4) / blockBytes) * blockBytes

export const entrySize = (entry: Entry): number => entryHeadBytes + entry.data.length

const nonceOf = (seq: number): Uint8Array => {
  const nonce = new Uint8Array(nonceBytes)
  new Writer(nonce, 4).u64(seq)
  return nonce
}

/** A frame as it goes to disk, in the beginning of `room` if there is one, and the checksum the next one must name. */
export function encodeFrame(
  cipher: Cipher,
  file: FileKey,
  head: FrameHead,
  payload: Uint8Array,
  room: Uint8Array = new Uint8Array(frameSize(payload.length))
): { readonly bytes: Uint8Array; readonly crc: number } {
  const bytes = room.subarray(0, frameSize(payload.length))
  const fields = new Writer(bytes)
  fields.u32(magic.frame)
  fields.u8(head.kind)
  fields.u8(formatVersion)
  fields.u16(0)
  fields.u64(head.seq)
  fields.u64(head.term)
  fields.u64(head.commitHint)
  fields.u64(head.firstIndex)
  fields.u64(head.truncateFrom)
  fields.u32(head.count)
  fields.u32(payload.length)
  fields.u32(head.previousCrc)
  fields.u32(0)
  fields.u32(cipher.crc32(bytes.subarray(0, headCrcAt), file.salt))
  const sealedEnd = headBytes + payload.length + tagBytes
  const sealed = bytes.subarray(headBytes, sealedEnd)
  cipher.seal(file.key, nonceOf(head.seq), bytes.subarray(0, headBytes), payload, sealed)
  const crc = cipher.crc32(bytes.subarray(0, sealedEnd), file.salt)
  new Writer(bytes, sealedEnd).u32(crc)
  bytes.fill(0, sealedEnd + 4)
  return { bytes, crc }
}

/** `head` is present when the header alone is sound: proof that this frame was once begun in this file. */
export type FrameRead =
  | {
      readonly _tag: "Frame"
      readonly head: FrameHead
      readonly payload: Uint8Array
      readonly size: number
      readonly crc: number
    }
  | { readonly _tag: "Blank" }
  | { readonly _tag: "Broken"; readonly head?: FrameHead; readonly reason: string }

/** The header at `offset`, when its checksum holds for this file. */
function readHead(
  cipher: Cipher,
  file: FileKey,
  bytes: Uint8Array,
  offset: number
): { readonly head: FrameHead; readonly payloadBytes: number } | undefined {
  if (bytes.length - offset < headBytes) return undefined
  const fields = new Reader(bytes.subarray(offset, offset + headBytes))
  if (fields.u32() !== magic.frame) return undefined
  const crc = new Reader(bytes, offset + headCrcAt).u32()
  if (cipher.crc32(bytes.subarray(offset, offset + headCrcAt), file.salt) !== crc) return undefined
  const kind = fields.u8()
  const version = fields.u8()
  if (version !== formatVersion) {
    throw new UnknownFormat(`frame format ${version} is not known here, expected ${formatVersion}`)
  }
  fields.u16()
  const seq = fields.u64()
  const term = fields.u64()
  const commitHint = fields.u64()
  const firstIndex = fields.u64()
  const truncateFrom = fields.u64()
  const count = fields.u32()
  const payloadBytes = fields.u32()
  const previousCrc = fields.u32()
  return {
    head: { kind, seq, term, commitHint, firstIndex, truncateFrom, count, previousCrc },
    payloadBytes
  }
}

/** How many bytes the frame takes whose first block this is; `undefined` when its header is damaged. */
export function frameSizeAt(cipher: Cipher, file: FileKey, block: Uint8Array): number | undefined {
  const found = readHead(cipher, file, block, 0)
  return found === undefined ? undefined : frameSize(found.payloadBytes)
}

/** Reads what stands at `offset` of a segment; `Blank` when the block is all zero. */
export function readFrame(cipher: Cipher, file: FileKey, bytes: Uint8Array, offset: number): FrameRead {
  if (allZero(bytes, offset, Math.min(offset + blockBytes, bytes.length))) return { _tag: "Blank" }
  const found = readHead(cipher, file, bytes, offset)
  if (found === undefined) return { _tag: "Broken", reason: "its header's checksum is wrong" }
  const { head, payloadBytes } = found
  const size = frameSize(payloadBytes)
  if (offset + size > bytes.length) return { _tag: "Broken", head, reason: "it is longer than its segment" }
  const sealedEnd = offset + headBytes + payloadBytes + tagBytes
  const crc = new Reader(bytes, sealedEnd).u32()
  if (cipher.crc32(bytes.subarray(offset, sealedEnd), file.salt) !== crc) {
    return { _tag: "Broken", head, reason: "its checksum is wrong" }
  }
  if (!allZero(bytes, sealedEnd + 4, offset + size)) {
    return { _tag: "Broken", head, reason: "its padding is not zero" }
  }
  const payload = cipher.open(
    file.key,
    nonceOf(head.seq),
    bytes.subarray(offset, offset + headBytes),
    bytes.subarray(offset + headBytes, sealedEnd)
  )
  if (payload === undefined) return { _tag: "Broken", head, reason: "it does not decrypt" }
  return { _tag: "Frame", head, payload, size, crc }
}

/** The first sound header with a sequence number of at least `seq` in the blocks from `offset` on. */
export function findLaterHead(
  cipher: Cipher,
  file: FileKey,
  bytes: Uint8Array,
  offset: number,
  seq: number
): FrameHead | undefined {
  for (let at = offset; at < bytes.length; at += blockBytes) {
    const found = readHead(cipher, file, bytes, at)
    if (found !== undefined && found.head.seq >= seq) return found.head
  }
  return undefined
}

/** Bytes of a batch's payload. */
export function payloadSize(vote: string, entries: ReadonlyArray<Entry>): number {
  let length = 2 + utf8(vote).length
  for (const entry of entries) length += entrySize(entry)
  return length
}

const entryCrc = (cipher: Cipher, head: Uint8Array, data: Uint8Array): number =>
  cipher.crc32(data, cipher.crc32(head))

/** A batch's payload: the vote, then its entries, each with a checksum of its own; all of `bytes`, if they are given. */
export function encodePayload(
  cipher: Cipher,
  vote: string,
  entries: ReadonlyArray<Entry>,
  bytes: Uint8Array = new Uint8Array(payloadSize(vote, entries))
): Uint8Array {
  const fields = new Writer(bytes)
  fields.string(vote)
  const entryHead = new Uint8Array(entryHeadBytes - 4)
  for (const entry of entries) {
    const head = new Writer(entryHead)
    head.u64(entry.index)
    head.u64(entry.term)
    head.u8(entry.type)
    head.u32(entry.data.length)
    fields.raw(entryHead)
    fields.u32(entryCrc(cipher, entryHead, entry.data))
    fields.raw(entry.data)
  }
  assert(fields.at === bytes.length, "a payload is as long as it was computed to be")
  return bytes
}

/** The reverse, or `undefined` when it does not hold together. Entry data are views into `payload`. */
export function decodePayload(
  cipher: Cipher,
  head: FrameHead,
  payload: Uint8Array
): { readonly vote: string; readonly entries: ReadonlyArray<Entry> } | undefined {
  try {
    const fields = new Reader(payload)
    const vote = fields.string()
    const entries: Array<Entry> = []
    for (let i = 0; i < head.count; i++) {
      const start = fields.at
      const index = fields.u64()
      const term = fields.u64()
      const type = fields.u8()
      const length = fields.u32()
      const entryHead = payload.subarray(start, fields.at)
      const crc = fields.u32()
      const data = fields.raw(length)
      if (entryCrc(cipher, entryHead, data) !== crc || index !== head.firstIndex + i) return undefined
      entries.push({ index, term, type, data })
    }
    return fields.left === 0 ? { vote, entries } : undefined
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

/** A marker's payload: the vote, then which snapshot is durable. */
export function encodeMarker(
  vote: string,
  snapshot: { readonly index: number; readonly term: number }
): Uint8Array {
  const name = utf8(vote)
  const bytes = new Uint8Array(2 + name.length + 16)
  const fields = new Writer(bytes)
  fields.short(name)
  fields.u64(snapshot.index)
  fields.u64(snapshot.term)
  return bytes
}

/** The reverse, or `undefined` when it does not hold together. */
export function decodeMarker(
  payload: Uint8Array
): { readonly vote: string; readonly index: number; readonly term: number } | undefined {
  try {
    const fields = new Reader(payload)
    return { vote: fields.string(), index: fields.u64(), term: fields.u64() }
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}
