/**
 * Checksums as in production, encryption that costs nothing and hides nothing: a change of any byte, key, nonce or
 * bound data is found, and that is all the simulator needs of it.
 */
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { type Cipher, tagBytes } from "#actors/raft/storage/cipher.ts"
import type { Fresh } from "#runtime/ids.ts"

/** Keys and ids come from `chance`, so that a seed's disks are the same every time. */
export function simCipher(chance: Fresh): Cipher {
  return {
    crc32: (bytes, seed = 0) => crc32(bytes, seed),
    sha256: () => {
      const hash = createHash("sha256")
      return { update: (bytes) => void hash.update(bytes), finish: () => new Uint8Array(hash.digest()) }
    },
    random: (length) => Uint8Array.from({ length }, () => chance.below(256)),
    deriveKey: (secret, salt, purpose) => {
      const key = new Uint8Array(32)
      new DataView(key.buffer).setUint32(0, crc32(purpose, crc32(salt, crc32(secret))))
      return key
    },
    seal: (key, nonce, bound, plain, room = new Uint8Array(plain.length + tagBytes)) => {
      const sealed = room.subarray(0, plain.length + tagBytes)
      sealed.set(plain)
      sealed.fill(0, plain.length)
      new DataView(room.buffer, room.byteOffset).setUint32(plain.length, tagOf(key, nonce, bound, plain))
      return sealed
    },
    open: (key, nonce, bound, sealed) => {
      if (sealed.length < tagBytes) return undefined
      const plain = sealed.slice(0, sealed.length - tagBytes)
      const tag = new DataView(sealed.buffer, sealed.byteOffset).getUint32(plain.length)
      return tag === tagOf(key, nonce, bound, plain) ? plain : undefined
    }
  }
}

const tagOf = (key: Uint8Array, nonce: Uint8Array, bound: Uint8Array, plain: Uint8Array): number =>
  crc32(plain, crc32(bound, crc32(nonce, crc32(key))))
