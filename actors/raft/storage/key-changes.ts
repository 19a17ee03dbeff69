/**
 * Changes of keys on a log that is open: of the data key, which seals what is written from then on, and of the key
 * that wraps the data keys, which rewrites their file and nothing else. At every step some key that is here opens
 * everything; the old one opens nothing once the change is complete.
 */
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import { encodeKeys, type KeyRing, keyBytes, newDataKey } from "#actors/raft/storage/keys.ts"
import { settleKeyFiles, writeNextKeyFile } from "#actors/raft/storage/node-key.ts"
import type { OpenedLog } from "#actors/raft/storage/open.ts"
import { rewrapAsides } from "#actors/raft/storage/rewrap-asides.ts"
import type { Vfs } from "#actors/raft/storage/vfs.ts"
import type { KeyChange } from "#actors/raft/storage/wal-state.ts"
import type { WrapWith } from "#actors/raft/storage.ts"

/** Follows the keys of one open log and encodes their file. `dataDirectory` is the node's. */
export class KeyChanges {
  readonly #vfs: Vfs
  readonly #cipher: Cipher
  readonly #owner: OpenedLog["wal"]["owner"]
  readonly #dataDirectory: string
  #wrapper: Uint8Array
  #former: Uint8Array | undefined
  #ring: KeyRing

  constructor(vfs: Vfs, cipher: Cipher, { wal, ring, wrapper }: OpenedLog) {
    this.#vfs = vfs
    this.#cipher = cipher
    this.#owner = wal.owner
    this.#dataDirectory = wal.directory.slice(0, wal.directory.lastIndexOf("/"))
    this.#wrapper = wrapper
    this.#ring = ring
  }

  /** Every key that may be needed to read what is on disk. */
  get ring(): KeyRing {
    return this.#ring
  }

  newDataKey(): KeyChange {
    const dataKey = newDataKey(this.#cipher)
    this.#ring = [dataKey, ...this.#ring]
    return { ...this.#files(), dataKey }
  }

  /** Before the file of data keys is wrapped anew. */
  beginWrapping(wrap: WrapWith): KeyChange {
    this.#former = this.#wrapper
    this.#wrapper = wrap._tag === "UnlockKey" ? wrap.key : this.#cipher.random(keyBytes)
    if (wrap._tag === "KeyFile") writeNextKeyFile(this.#vfs, this.#dataDirectory, this.#wrapper)
    return this.#files()
  }

  /** After it: the old key goes. */
  endWrapping(): void {
    const place = { vfs: this.#vfs, cipher: this.#cipher, directory: this.#dataDirectory }
    rewrapAsides(place, this.#wrapper, this.#former)
    this.#former = undefined
    settleKeyFiles(this.#vfs, this.#dataDirectory, this.#wrapper)
  }

  #files(): { readonly keys: Uint8Array; readonly keysAfter: Uint8Array } {
    const encode = (ring: KeyRing): Uint8Array => encodeKeys(this.#cipher, this.#owner, this.#wrapper, ring)
    return { keys: encode(this.#ring), keysAfter: encode(this.#ring.slice(0, 1)) }
  }
}
