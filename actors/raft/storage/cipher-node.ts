/** The machine's checksums and encryption. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto"
import { crc32 } from "node:zlib"
import { type Cipher, tagBytes } from "#actors/raft/storage/cipher.ts"

export const nodeCipher: Cipher = {
  crc32: (bytes, seed = 0) => crc32(bytes, seed),
  sha256: () => {
    const hash = createHash("sha256")
    return { update: (bytes) => void hash.update(bytes), finish: () => new Uint8Array(hash.digest()) }
  },
  random: (length) => new Uint8Array(randomBytes(length)),
  deriveKey: (secret, salt, purpose) => new Uint8Array(hkdfSync("sha256", secret, salt, purpose, 32)),
  seal: (key, nonce, bound, plain) => {
    const cipher = createCipheriv("aes-256-gcm", key, nonce)
    cipher.setAAD(bound)
    const body = cipher.update(plain)
    const rest = cipher.final()
    const tag = cipher.getAuthTag()
    const sealed = new Uint8Array(body.length + rest.length + tagBytes)
    sealed.set(body, 0)
    sealed.set(rest, body.length)
    sealed.set(tag, body.length + rest.length)
    return sealed
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
