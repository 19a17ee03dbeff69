/** A command in the log, behind the id of its proposal: whoever waits for it knows it when it is applied. */

import type { ProposalId } from "#actors/raft/protocol.ts"
import { Malformed, Reader, utf8, Writer } from "#actors/raft/storage/bytes.ts"

const seqBytes = 8

export function encodeEnvelope(id: ProposalId, data: Uint8Array): Uint8Array {
  const proposer = utf8(id.proposer)
  const boot = utf8(id.boot)
  const fields = new Writer(new Uint8Array(seqBytes + 4 + proposer.length + boot.length + data.length))
  fields.u64(id.seq)
  fields.short(proposer)
  fields.short(boot)
  fields.raw(data)
  return fields.bytes
}

/** The number alone: enough to see that nobody here waits for it. */
export const seqOf = (bytes: Uint8Array): number => new Reader(bytes).u64()

export function idOf(bytes: Uint8Array): ProposalId {
  const fields = new Reader(bytes)
  const seq = fields.u64()
  return { proposer: fields.string(), boot: fields.string(), seq }
}

/** The command itself, a view. Throws `Malformed`. */
export function commandOf(bytes: Uint8Array): Uint8Array {
  const proposer = seqBytes
  if (bytes.length < proposer + 4) throw new Malformed("a proposal ends early")
  const boot = proposer + 2 + u16(bytes, proposer)
  const command = boot + 2 + u16(bytes, boot)
  if (command > bytes.length) throw new Malformed("a proposal ends early")
  return bytes.subarray(command)
}

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
