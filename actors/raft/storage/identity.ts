/** The file that says whose log a directory holds; written once, when the directory is made. */

import { firstIncarnation, type Incarnation } from "#actors/raft/incarnation.ts"
import { decodeBlock, encodeBlock, magic } from "#actors/raft/storage/block.ts"
import type { Reader } from "#actors/raft/storage/bytes.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import type { Owner } from "#actors/raft/storage/frame.ts"

/** `createdMs` is milliseconds since the epoch, for people. `incarnation` is the group's, for the life of this log. */
export interface Identity extends Owner {
  readonly createdMs: number
  readonly incarnation: Incarnation
}

export const encodeIdentity = (cipher: Cipher, identity: Identity): Uint8Array =>
  encodeBlock(cipher, magic.identity, 0, (fields) => {
    fields.u64(identity.createdMs)
    fields.string(identity.clusterId)
    fields.string(identity.nodeId)
    fields.u64(identity.incarnation.number)
    fields.string(identity.incarnation.id)
  })

/** `undefined` when damaged. */
export const decodeIdentity = (cipher: Cipher, block: Uint8Array): Identity | undefined =>
  decodeBlock(cipher, magic.identity, 0, block, (fields) => ({
    createdMs: fields.u64(),
    clusterId: fields.string(),
    nodeId: fields.string(),
    incarnation: incarnationIn(fields)
  }))

/** Earlier releases left zeros there: they knew no incarnation but the first. */
function incarnationIn(fields: Reader): Incarnation {
  const number = fields.u64()
  return number === 0 ? firstIncarnation : { number, id: fields.string() }
}
