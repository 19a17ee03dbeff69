/**
 * A snapshot's file: a head, sealed blocks of up to 64 KiB or one larger chunk, and a footer with the counts and
 * the SHA-256 of everything before it. Chunks come back with the boundaries they were given with.
 */

import { blockBytes, decodeBlock, encodeBlock, magic } from "#actors/raft/storage/block.ts"
import { Malformed, Reader, sameBytes, Writer } from "#actors/raft/storage/bytes.ts"
import { type Cipher, type Digest, nonceBytes, tagBytes } from "#actors/raft/storage/cipher.ts"
import { idBytes, type Owner, ownerSalt } from "#actors/raft/storage/frame.ts"
import type { DataKey, KeyRing } from "#actors/raft/storage/keys.ts"
import { snapshotName } from "#actors/raft/storage/layout.ts"
import { DiskError, type Vfs, type VfsFile } from "#actors/raft/storage/vfs.ts"
import type { SnapshotMeta } from "#actors/raft/storage.ts"

const sealedBytes = 64 * 1024
const sealedHeadBytes = 8
const footerMark = 0xffff_ffff
const footerBytes = 60
// Written data is pushed to disk this often, so that the last push is short and the log hardly waits for it.
const pushBytes = 2 * 1024 * 1024

/** A snapshot on disk. `name` is relative to the snapshots' directory. */
export interface StoredSnapshot extends SnapshotMeta {
  readonly name: string
  readonly bytes: number
  /** The data key that sealed it. */
  readonly keyId: Uint8Array
}

/** A snapshot that cannot be used, and what is wrong with it. */
export class BadSnapshot extends Error {
  override readonly name = "BadSnapshot"
}

const snapshotKey = (cipher: Cipher, owner: Owner, dataKey: Uint8Array, fileId: Uint8Array): Uint8Array =>
  cipher.deriveKey(dataKey, fileId, `troupe raft snapshot 1\n${owner.clusterId}\n${owner.nodeId}`)

const nonceOf = (number: number): Uint8Array => {
  const nonce = new Uint8Array(nonceBytes)
  new Writer(nonce, 4).u64(number)
  return nonce
}

/** Writes one snapshot, chunk by chunk, into a draft that `finish` checks and puts in place. */
export class SnapshotDraft {
  readonly meta: SnapshotMeta
  readonly #vfs: Vfs
  readonly #cipher: Cipher
  readonly #owner: Owner
  readonly #ring: KeyRing
  readonly #directory: string
  readonly #name: string
  readonly #draft: string
  readonly #file: VfsFile
  readonly #key: Uint8Array
  readonly #digest: Digest
  #buffer = new Uint8Array(sealedBytes)
  #filled = 0
  #offset = 0
  #pushed = 0
  #blocks = 0
  #chunks = 0
  #plainBytes = 0

  constructor(
    vfs: Vfs,
    cipher: Cipher,
    owner: Owner,
    dataKey: DataKey,
    directory: string,
    meta: SnapshotMeta
  ) {
    this.meta = meta
    this.#vfs = vfs
    this.#cipher = cipher
    this.#owner = owner
    this.#ring = [dataKey]
    this.#directory = directory
    this.#name = snapshotName(meta.index, meta.term)
    this.#draft = `${directory}/${this.#name}.tmp`
    this.#digest = cipher.sha256()
    const fileId = cipher.random(idBytes)
    this.#key = snapshotKey(cipher, owner, dataKey.key, fileId)
    this.#file = vfs.open(this.#draft, "create")
    this.#write(
      encodeBlock(cipher, magic.snapshot, ownerSalt(cipher, owner), (fields) => {
        fields.raw(fileId)
        fields.raw(dataKey.id)
        fields.u64(meta.index)
        fields.u64(meta.term)
        fields.short(meta.config)
      })
    )
  }

  add(chunk: Uint8Array): void {
    const wanted = 4 + chunk.length
    if (this.#filled + wanted > sealedBytes) this.#seal()
    if (wanted > this.#buffer.length) this.#buffer = new Uint8Array(wanted)
    const fields = new Writer(this.#buffer, this.#filled)
    fields.u32(chunk.length)
    fields.raw(chunk)
    this.#filled = fields.at
    this.#chunks++
    this.#plainBytes += chunk.length
    if (this.#filled >= sealedBytes) this.#seal()
  }

  /** Closes the file, reads all of it back and puts it in place; yields between pieces of work. */
  *finish(): Generator<void, StoredSnapshot> {
    this.#seal()
    const footer = new Uint8Array(footerBytes)
    const fields = new Writer(footer)
    fields.u32(footerMark)
    fields.u32(this.#blocks)
    fields.u64(this.#chunks)
    fields.u64(this.#plainBytes)
    fields.raw(this.#digest.finish())
    fields.u32(this.#cipher.crc32(footer.subarray(0, footerBytes - 4)))
    this.#file.write(this.#offset, footer)
    this.#file.sync()
    this.#file.close()
    yield
    const check = readSnapshot(this.#vfs, this.#cipher, this.#owner, this.#ring, this.#draft)
    while (true) {
      const step = check.next()
      if (step.done === true) break
      yield
    }
    this.#vfs.rename(this.#draft, `${this.#directory}/${this.#name}`)
    this.#vfs.syncDirectory(this.#directory)
    return {
      ...this.meta,
      name: this.#name,
      bytes: this.#offset + footerBytes,
      keyId: this.#ring[0]?.id ?? new Uint8Array(0)
    }
  }

  /** The same at once. */
  finishNow(): StoredSnapshot {
    const steps = this.finish()
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
    }
  }

  /** Leaves nothing behind. */
  abandon(): void {
    try {
      this.#file.close()
    } catch {
      // Closed already: `finish` had come further.
    }
    if (this.#vfs.list(this.#directory).includes(`${this.#name}.tmp`)) this.#vfs.remove(this.#draft)
  }

  #seal(): void {
    if (this.#filled === 0) return
    const plain = this.#buffer.subarray(0, this.#filled)
    const head = new Uint8Array(sealedHeadBytes)
    const fields = new Writer(head)
    fields.u32(this.#blocks)
    fields.u32(plain.length)
    this.#write(head)
    this.#write(this.#cipher.seal(this.#key, nonceOf(this.#blocks), head, plain))
    this.#blocks++
    this.#filled = 0
    if (this.#offset - this.#pushed >= pushBytes) {
      this.#file.sync()
      this.#pushed = this.#offset
    }
  }

  #write(bytes: Uint8Array): void {
    this.#file.write(this.#offset, bytes)
    this.#digest.update(bytes)
    this.#offset += bytes.length
  }
}

interface SnapshotHead extends SnapshotMeta {
  readonly fileId: Uint8Array
  readonly keyId: Uint8Array
}

const decodeHead = (cipher: Cipher, owner: Owner, block: Uint8Array): SnapshotHead | undefined =>
  decodeBlock(cipher, magic.snapshot, ownerSalt(cipher, owner), block, (fields) => ({
    fileId: fields.raw(idBytes).slice(),
    keyId: fields.raw(idBytes).slice(),
    index: fields.u64(),
    term: fields.u64(),
    config: fields.short().slice()
  }))

/** The head of a snapshot's file, without looking at the rest. */
export function peekSnapshot(
  vfs: Vfs,
  cipher: Cipher,
  owner: Owner,
  directory: string,
  name: string
): StoredSnapshot | undefined {
  const file = vfs.open(`${directory}/${name}`, "read")
  try {
    const head = decodeHead(cipher, owner, file.read(0, blockBytes))
    if (head === undefined) return undefined
    const { index, term, config, keyId } = head
    return { index, term, config, name, bytes: file.size(), keyId }
  } finally {
    file.close()
  }
}

/** Yields the chunks, checking each before it is given; throws `BadSnapshot` at the first thing that is wrong. */
export function* readSnapshot(
  vfs: Vfs,
  cipher: Cipher,
  owner: Owner,
  ring: KeyRing,
  path: string
): Generator<Uint8Array, SnapshotMeta> {
  const file = vfs.open(path, "read")
  try {
    const block = file.read(0, blockBytes)
    const head = decodeHead(cipher, owner, block)
    if (head === undefined) throw new BadSnapshot("its head is damaged")
    const dataKey = ring.find(({ id }) => sameBytes(id, head.keyId))
    if (dataKey === undefined) throw new BadSnapshot("its data key is not in the key file")
    const key = snapshotKey(cipher, owner, dataKey.key, head.fileId)
    const digest = cipher.sha256()
    digest.update(block)
    const size = file.size()
    let offset = blockBytes
    let blocks = 0
    let chunks = 0
    let plainBytes = 0
    while (true) {
      const sealedHead = file.read(offset, sealedHeadBytes)
      const fields = new Reader(sealedHead)
      const number = fields.u32()
      const length = fields.u32()
      if (number === footerMark) break
      if (number !== blocks || offset + sealedHeadBytes + length + tagBytes > size) {
        throw new BadSnapshot(`block ${blocks} is damaged`)
      }
      const sealed = file.read(offset + sealedHeadBytes, length + tagBytes)
      const plain = cipher.open(key, nonceOf(blocks), sealedHead, sealed)
      if (plain === undefined) throw new BadSnapshot(`block ${blocks} does not decrypt`)
      digest.update(sealedHead)
      digest.update(sealed)
      offset += sealedHeadBytes + sealed.length
      blocks++
      const inside = new Reader(plain)
      while (inside.left > 0) {
        const chunk = inside.raw(inside.u32())
        chunks++
        plainBytes += chunk.length
        yield chunk
      }
    }
    checkFooter(cipher, file.read(offset, footerBytes + 1), { blocks, chunks, plainBytes }, digest.finish())
    return { index: head.index, term: head.term, config: head.config }
  } catch (error) {
    if (error instanceof Malformed) throw new BadSnapshot(`it ends early: ${error.message}`)
    throw error
  } finally {
    file.close()
  }
}

function checkFooter(
  cipher: Cipher,
  footer: Uint8Array,
  counted: { readonly blocks: number; readonly chunks: number; readonly plainBytes: number },
  sum: Uint8Array
): void {
  if (footer.length !== footerBytes) throw new BadSnapshot("its footer has the wrong length")
  const fields = new Reader(footer)
  fields.u32()
  const same =
    fields.u32() === counted.blocks &&
    fields.u64() === counted.chunks &&
    fields.u64() === counted.plainBytes &&
    sameBytes(fields.raw(32), sum) &&
    fields.u32() === cipher.crc32(footer.subarray(0, footerBytes - 4))
  if (!same) throw new BadSnapshot("its footer does not match its contents")
}

/** Reads all of a snapshot and says what is wrong with it, or nothing. */
export function checkSnapshot(
  vfs: Vfs,
  cipher: Cipher,
  owner: Owner,
  ring: KeyRing,
  path: string
): string | undefined {
  try {
    for (const _ of readSnapshot(vfs, cipher, owner, ring, path));
    return undefined
  } catch (error) {
    if (error instanceof BadSnapshot) return error.message
    // A sector that cannot be read is damage like any other: an older snapshot may do.
    if (error instanceof DiskError) return error.message
    throw error
  }
}
