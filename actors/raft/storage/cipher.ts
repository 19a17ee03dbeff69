/**
 * Checksums and encryption as an argument, so that the format's code computes and imports nothing, and tests
 * can watch every nonce. `cipher-node.ts` is the only real one.
 */

export interface Digest {
  readonly update: (bytes: Uint8Array) => void
  readonly finish: () => Uint8Array
}

export interface Cipher {
  /** CRC32 as zlib has it; `seed` is the checksum of what came before. */
  readonly crc32: (bytes: Uint8Array, seed?: number) => number
  /** SHA-256, 32 bytes. */
  readonly sha256: () => Digest
  readonly random: (length: number) => Uint8Array
  /** HKDF-SHA256, 32 bytes. */
  readonly deriveKey: (secret: Uint8Array, salt: Uint8Array, purpose: string) => Uint8Array
  /**
   * AES-256-GCM: ciphertext, then a tag of 16 bytes. `bound` is authenticated with it and not stored. The result is the
   * beginning of `room`, if there is one.
   */
  readonly seal: (
    key: Uint8Array,
    nonce: Uint8Array,
    bound: Uint8Array,
    plain: Uint8Array,
    room?: Uint8Array
  ) => Uint8Array
  /** `undefined` when anything about it is not as it was sealed. */
  readonly open: (
    key: Uint8Array,
    nonce: Uint8Array,
    bound: Uint8Array,
    sealed: Uint8Array
  ) => Uint8Array | undefined
}

export const tagBytes = 16
export const nonceBytes = 12
