/**
 * Two small files that witness how far the log once reached: written in turn after the frame they speak of is
 * durable, so that a log that ends before them has lost something.
 */
import { decodeBlock, encodeBlock, magic } from "#actors/raft/storage/block.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import { type Owner, ownerSalt } from "#actors/raft/storage/frame.ts"

/** `turn` tells which of the two is newer. `lastSeq` is a frame known to have been durable; 0 for none. */
export interface Slot {
  readonly turn: number
  readonly term: number
  readonly vote: string
  readonly lastSeq: number
}

export const encodeSlot = (cipher: Cipher, owner: Owner, slot: Slot): Uint8Array =>
  encodeBlock(cipher, magic.slot, ownerSalt(cipher, owner), (fields) => {
    fields.u64(slot.turn)
    fields.u64(slot.term)
    fields.u64(slot.lastSeq)
    fields.string(slot.vote)
  })

/** `undefined` when damaged or another member's. */
export const decodeSlot = (cipher: Cipher, owner: Owner, block: Uint8Array): Slot | undefined =>
  decodeBlock(cipher, magic.slot, ownerSalt(cipher, owner), block, (fields) => {
    const turn = fields.u64()
    const term = fields.u64()
    const lastSeq = fields.u64()
    return { turn, term, vote: fields.string(), lastSeq }
  })
