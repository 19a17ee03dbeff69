/**
 * The file that keeps a log out of service after a restart, for losses that the log itself cannot show: a leader
 * knew of more than is here. It also names the member that takes this one's place, before that one begins.
 */
import { blockBytes, decodeBlock, encodeBlock, magic } from "#actors/raft/storage/block.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"

/** `successor` is the id under which this directory's node begins anew; `""` while it is not decided. */
export interface QuarantineMark {
  readonly nodeId: string
  readonly reason: string
  readonly successor: string
}

// A block holds the mark with room for two ids.
const reasonCharacters = 600

export const encodeMark = (cipher: Cipher, mark: QuarantineMark): Uint8Array =>
  encodeBlock(cipher, magic.quarantine, 0, (fields) => {
    fields.string(mark.nodeId)
    fields.string(mark.reason.slice(0, reasonCharacters))
    fields.string(mark.successor)
  })

/** `undefined` when damaged: the file's being there says enough to stay out of service. */
export const decodeMark = (cipher: Cipher, block: Uint8Array): QuarantineMark | undefined =>
  decodeBlock(cipher, magic.quarantine, 0, block.subarray(0, blockBytes), (fields) => ({
    nodeId: fields.string(),
    reason: fields.string(),
    successor: fields.string()
  }))
