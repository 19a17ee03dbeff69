/**
 * A file that opens with a passphrase only, and shows every change that was made to it.
 *
 *     head    64 bytes: mark, version, scrypt's cost, salt, nonce, check, crc
 *     block…  length u32 │ AES-256-GCM of up to 64 KiB │ tag
 *
 * The key is scrypt's of the passphrase. A block's nonce is the file's, the block's number and whether it is the last
 * one; with each the head is authenticated. So blocks cannot be changed, moved or left out, and the file cannot end
 * early (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár 2015).
 */
import { Buffer } from "node:buffer"
import { hkdfSync, randomBytes, scrypt } from "node:crypto"
import { crc32 } from "node:zlib"
import { tagBytes } from "#actors/raft/storage/cipher.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { cannot } from "#actors/recovery/errors.ts"

const mark = Buffer.from("TROUPEBK")
const version = 1
const headBytes = 64
const crcAt = headBytes - 4
const blockBytes = 64 * 1024
const blockHeadBytes = 4
const keyBytes = 32

/** scrypt's, as OWASP has it for 32 MiB of memory: `N` is `2 ** cost`. */
interface Cost {
  readonly cost: number
  readonly blockSize: number
  readonly parallel: number
}
const usualCost: Cost = { cost: 15, blockSize: 8, parallel: 3 }
/** What a file may ask of whoever opens it: 1 GiB. */
const highestCost: Cost = { cost: 20, blockSize: 8, parallel: 16 }

/** How a file is sealed; made once for each. `head` begins the file. */
export interface Seal {
  readonly head: Uint8Array
  readonly key: Uint8Array
}

/** A new seal, with a salt of its own. Takes some tenths of a second of another thread. */
export async function newSeal(passphrase: string): Promise<Seal> {
  const head = Buffer.alloc(headBytes)
  mark.copy(head)
  const { cost, blockSize, parallel } = usualCost
  head.set([version, cost, blockSize, parallel], mark.length)
  randomBytes(16).copy(head, 12)
  randomBytes(7).copy(head, 28)
  const key = await deriveKey(passphrase, saltOf(head), usualCost)
  checkOf(key).copy(head, 36)
  head.writeUInt32LE(crc32(head.subarray(0, crcAt)), crcAt)
  return { head, key }
}

const saltOf = (head: Buffer): Buffer => head.subarray(12, 28)
const prefixOf = (head: Uint8Array): Uint8Array => head.subarray(28, 35)

/** Tells a wrong passphrase from damage. */
const checkOf = (key: Uint8Array): Buffer =>
  Buffer.from(hkdfSync("sha256", key, "", "troupe backup key check 1", 16))

function deriveKey(
  passphrase: string,
  salt: Uint8Array,
  { cost, blockSize, parallel }: Cost
): Promise<Uint8Array> {
  const N = 2 ** cost
  const maxmem = 128 * blockSize * (N + parallel) * 2
  return new Promise((resolve, reject) => {
    // As it was typed, whichever way the terminal composed it.
    scrypt(
      passphrase.normalize("NFKC"),
      salt,
      keyBytes,
      { N, r: blockSize, p: parallel, maxmem },
      (error, key) => (error ? reject(error) : resolve(key))
    )
  })
}

function nonceOf(head: Uint8Array, number: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(12)
  nonce.set(prefixOf(head))
  nonce.writeUInt32LE(number, 7)
  nonce[11] = isLast ? 1 : 0
  return nonce
}

/** The bytes of the file, some 64 KiB at a time, as they are taken. */
export function* sealed({ head, key }: Seal, plain: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield head
  let number = 0
  const seal = (bytes: Uint8Array, isLast: boolean): Uint8Array => {
    const length = Buffer.alloc(blockHeadBytes)
    length.writeUInt32LE(bytes.length)
    return Buffer.concat([length, nodeCipher.seal(key, nonceOf(head, number++, isLast), head, bytes)])
  }
  let waiting: Uint8Array | undefined
  for (const block of blocksOf(plain)) {
    if (waiting !== undefined) yield seal(waiting, false)
    waiting = block
  }
  yield seal(waiting ?? new Uint8Array(0), true)
}

/** The same bytes in blocks that are full, but for the last. */
function* blocksOf(chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  let block = Buffer.alloc(blockBytes)
  let filled = 0
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(chunk.length - at, blockBytes - filled)
      block.set(chunk.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled < blockBytes) continue
      yield block
      block = Buffer.alloc(blockBytes)
      filled = 0
    }
  }
  if (filled > 0) yield block.subarray(0, filled)
}

/** Reads from a file: fewer bytes than asked only at its end. */
export type ReadAt = (offset: number, length: number) => Uint8Array

/** Opens a file with its passphrase. Throws `RecoveryError` when it is no such file, or does not open. */
export async function openSeal(read: ReadAt, passphrase: string): Promise<Seal> {
  const head = Buffer.from(read(0, headBytes))
  if (head.length < mark.length || !head.subarray(0, mark.length).equals(mark))
    throw cannot("it is not a backup")
  if (head.length < headBytes) throw cannot("it is cut off in its head")
  const [its, cost, blockSize, parallel] = head.subarray(mark.length) as unknown as [
    number,
    number,
    number,
    number
  ]
  if (crc32(head.subarray(0, crcAt)) !== head.readUInt32LE(crcAt)) throw cannot("its head is damaged")
  if (its !== version) throw cannot(`it has format ${its}, this release reads ${version}`)
  if (cost > highestCost.cost || blockSize > highestCost.blockSize || parallel > highestCost.parallel) {
    throw cannot("it asks for more memory than any backup needs")
  }
  const key = await deriveKey(passphrase, saltOf(head), { cost, blockSize, parallel })
  if (!checkOf(key).equals(head.subarray(36, 52))) throw cannot("the passphrase is wrong")
  return { head, key }
}

/** What was sealed; throws `RecoveryError` at the first thing that is not as it was written, and gives nothing of it. */
export function* unsealed({ head, key }: Seal, read: ReadAt): Generator<Uint8Array> {
  let offset = headBytes
  for (let number = 0; ; number++) {
    const start = read(offset, blockHeadBytes)
    if (start.length < blockHeadBytes) throw cannot(`it is cut off after byte ${offset}`)
    const length = Buffer.from(start).readUInt32LE()
    if (length > blockBytes) throw cannot(`it is damaged at byte ${offset}`)
    const body = read(offset + blockHeadBytes, length + tagBytes)
    const end = offset + blockHeadBytes + length + tagBytes
    if (body.length < length + tagBytes) throw cannot(`it is cut off after byte ${offset}`)
    const isLast = read(end, 1).length === 0
    const plain = nodeCipher.open(key, nonceOf(head, number, isLast), head, body)
    if (plain === undefined) {
      // The same block, if only it were not the last: what followed is gone.
      const wasCut = isLast && nodeCipher.open(key, nonceOf(head, number, false), head, body) !== undefined
      throw cannot(wasCut ? `it is cut off after byte ${end}` : `it is damaged at byte ${offset}`)
    }
    yield plain
    if (isLast) return
    offset = end
  }
}
