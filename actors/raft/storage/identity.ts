/** The file that says whose log a directory holds; written once, when the directory is made. */
import { decodeBlock, encodeBlock, magic } from "#actors/raft/storage/block.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import type { Owner } from "#actors/raft/storage/frame.ts"

/** `createdMs` is milliseconds since the epoch, for people. */
export interface Identity extends Owner {
  readonly createdMs: number
}

export const encodeIdentity = (cipher: Cipher, identity: Identity): Uint8Array =>
  encodeBlock(cipher, magic.identity, 0, (fields) => {
    fields.u64(identity.createdMs)
    fields.string(identity.clusterId)
    fields.string(identity.nodeId)
  })

/** `undefined` when damaged. */
export const decodeIdentity = (cipher: Cipher, block: Uint8Array): Identity | undefined =>
  decodeBlock(cipher, magic.identity, 0, block, (fields) => ({
    createdMs: fields.u64(),
    clusterId: fields.string(),
    nodeId: fields.string()
  }))
