/** The machine's checksums and encryption. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto"
import { crc32 } from "node:zlib"
import { type Cipher, tagBytes } from "#actors/raft/storage/cipher.ts"

// What is sealed comes in arrays of its own; large ones are new memory each time, whose first touch costs more than AES.
const pieceBytes = 16 * 1024

export const nodeCipher: Cipher = {
  crc32: (bytes, seed = 0) => crc32(bytes, seed),
  sha256: () => {
    const hash = createHash("sha256")
    return { update: (bytes) => void hash.update(bytes), finish: () => new Uint8Array(hash.digest()) }
  },
  random: (length) => new Uint8Array(randomBytes(length)),
  deriveKey: (secret, salt, purpose) => new Uint8Array(hkdfSync("sha256", secret, salt, purpose, 32)),
  seal: (key, nonce, bound, plain, room = new Uint8Array(plain.length + tagBytes)) => {
    const cipher = createCipheriv("aes-256-gcm", key, nonce)
    cipher.setAAD(bound)
    for (let at = 0; at < plain.length; at += pieceBytes) {
      room.set(cipher.update(plain.subarray(at, at + pieceBytes)), at)
    }
    // Of this mode nothing is left for the end but the tag.
    cipher.final()
    room.set(cipher.getAuthTag(), plain.length)
    return room.subarray(0, plain.length + tagBytes)
  },
  open: (key, nonce, bound, sealed) => {
    if (sealed.length < tagBytes) return undefined
    const body = sealed.subarray(0, sealed.length - tagBytes)
    const decipher = createDecipheriv("aes-256-gcm", key, nonce)
    decipher.setAAD(bound)
    decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
    try {
      const plain = decipher.update(body)
      const rest = decipher.final()
      if (rest.length === 0) return new Uint8Array(plain.buffer, plain.byteOffset, plain.length)
      const whole = new Uint8Array(plain.length + rest.length)
      whole.set(plain, 0)
      whole.set(rest, plain.length)
      return whole
    } catch {
      return undefined
    }
  }
}
