/**
 * A block is 4 KiB with a magic word, a format version and a checksum over all of it: the unit of everything
 * that is not a frame (identity, keys, state slots, the heads of segments and snapshots).
 */
import { Malformed, Reader, Writer } from "#actors/raft/storage/bytes.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"

export const blockBytes = 4096
const checksumAt = blockBytes - 4

/** The format this code writes and the only one it reads. */
export const formatVersion = 1

export const magic = {
  identity: 0x44495254, // "TRID"
  keys: 0x59454b54, // "TKEY"
  slot: 0x54545354, // "TSTT"
  segment: 0x47455354, // "TSEG"
  snapshot: 0x504e5354, // "TSNP"
  quarantine: 0x41555154, // "TQUA"
  frame: 0x4d524654 // "TFRM"
} as const

/** Written by a release that knows a format this one does not; nothing may be guessed. */
export class UnknownFormat extends Error {
  override readonly name = "UnknownFormat"
}

/** `salt` is a checksum of what the block belongs to, so that a block from elsewhere does not pass for ours. */
export function encodeBlock(
  cipher: Cipher,
  word: number,
  salt: number,
  write: (fields: Writer) => void
): Uint8Array {
  const bytes = new Uint8Array(blockBytes)
  const writer = new Writer(bytes)
  writer.u32(word)
  writer.u16(formatVersion)
  write(writer)
  if (writer.at > checksumAt) throw new Malformed(`${writer.at} bytes do not fit a block`)
  new Writer(bytes, checksumAt).u32(cipher.crc32(bytes.subarray(0, checksumAt), salt))
  return bytes
}

/** The fields, or `undefined` when the block is damaged or not ours. Throws `UnknownFormat`. */
export function decodeBlock<A>(
  cipher: Cipher,
  word: number,
  salt: number,
  bytes: Uint8Array,
  read: (fields: Reader) => A
): A | undefined {
  if (bytes.length !== blockBytes) return undefined
  const expected = new Reader(bytes, checksumAt).u32()
  if (cipher.crc32(bytes.subarray(0, checksumAt), salt) !== expected) return undefined
  const reader = new Reader(bytes.subarray(0, checksumAt))
  if (reader.u32() !== word) return undefined
  const version = reader.u16()
  if (version !== formatVersion) {
    throw new UnknownFormat(`format ${version} is not known here, expected ${formatVersion}`)
  }
  try {
    return read(reader)
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}
