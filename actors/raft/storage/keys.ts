/**
 * The data keys that encrypt the log, wrapped by a key that is kept elsewhere: in the node's key file, or, with
 * autolock, by people only. Changing that key rewrites this file and nothing else.
 */
import { decodeBlock, encodeBlock, magic } from "#actors/raft/storage/block.ts"
import { utf8, Writer } from "#actors/raft/storage/bytes.ts"
import { type Cipher, nonceBytes, tagBytes } from "#actors/raft/storage/cipher.ts"
import { idBytes, type Owner, ownerSalt } from "#actors/raft/storage/frame.ts"

export const keyBytes = 32

/** A data key and the id under which files name it. */
export interface DataKey {
  readonly id: Uint8Array
  readonly key: Uint8Array
}

/** Newest first: the first one encrypts new files, the others are kept until no file names them. */
export type KeyRing = ReadonlyArray<DataKey>

export type KeysRead =
  | { readonly _tag: "Opened"; readonly ring: KeyRing }
  | { readonly _tag: "WrongKey" }
  | { readonly _tag: "Damaged" }

/** Recognises the wrapping key without telling it. */
const wrapperMark = (cipher: Cipher, wrapper: Uint8Array): Uint8Array =>
  cipher.deriveKey(wrapper, new Uint8Array(0), "troupe raft key mark 1").subarray(0, idBytes)

const bound = (owner: Owner, id: Uint8Array): Uint8Array => {
  const ids = utf8(`${owner.clusterId}\n${owner.nodeId}\n`)
  const bytes = new Uint8Array(ids.length + id.length)
  const fields = new Writer(bytes)
  fields.raw(ids)
  fields.raw(id)
  return bytes
}

export const newDataKey = (cipher: Cipher): DataKey => ({
  id: cipher.random(idBytes),
  key: cipher.random(keyBytes)
})

export const encodeKeys = (cipher: Cipher, owner: Owner, wrapper: Uint8Array, ring: KeyRing): Uint8Array =>
  encodeBlock(cipher, magic.keys, ownerSalt(cipher, owner), (fields) => {
    fields.raw(wrapperMark(cipher, wrapper))
    fields.u8(ring.length)
    for (const { id, key } of ring) {
      const nonce = cipher.random(nonceBytes)
      fields.raw(id)
      fields.raw(nonce)
      fields.raw(cipher.seal(wrapper, nonce, bound(owner, id), key))
    }
  })

export function decodeKeys(cipher: Cipher, owner: Owner, wrapper: Uint8Array, block: Uint8Array): KeysRead {
  const read = decodeBlock(cipher, magic.keys, ownerSalt(cipher, owner), block, (fields): KeysRead => {
    const mark = fields.raw(idBytes)
    const ours = wrapperMark(cipher, wrapper)
    if (!mark.every((byte, i) => byte === ours[i])) return { _tag: "WrongKey" }
    const ring: Array<DataKey> = []
    const count = fields.u8()
    for (let i = 0; i < count; i++) {
      const id = fields.raw(idBytes).slice()
      const nonce = fields.raw(nonceBytes)
      const key = cipher.open(wrapper, nonce, bound(owner, id), fields.raw(keyBytes + tagBytes))
      if (key === undefined) return { _tag: "Damaged" }
      ring.push({ id, key: key.slice() })
    }
    return ring.length === 0 ? { _tag: "Damaged" } : { _tag: "Opened", ring }
  })
  return read ?? { _tag: "Damaged" }
}
