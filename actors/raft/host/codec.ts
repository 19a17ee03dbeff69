/**
 * Messages as bytes: binary, because most of what members say is entries, and those are bytes already.
 *
 *     ┌ mark "raft" ┬ version ┬ kind ┬ length u32 ┬ crc-32 of all else ┐ group, from, to, term, then by kind
 *
 * `group` names the cluster and its incarnation: what another one says is not understood here. Larger messages than NATS
 * carries travel in parts (`runtime/chunks.ts`), which neither end sees.
 */
import { crc32 } from "node:zlib"
import { type Entry, maxEntryBytes } from "#actors/raft/entry.ts"
import type { Message } from "#actors/raft/host/message.ts"
import { Malformed, Reader, Writer } from "#actors/raft/storage/bytes.ts"
import { never } from "#runtime/assert.ts"

const mark = 0x7466_6172
const version = 1
const headBytes = 14
const crcAt = 10

// Never changed and never used again for something else.
const kinds = {
  PreVote: 1,
  PreVoteReply: 2,
  Vote: 3,
  VoteReply: 4,
  Append: 5,
  AppendReply: 6,
  Heartbeat: 7,
  HeartbeatReply: 8,
  SnapshotOffer: 9,
  TimeoutNow: 10,
  Removed: 11,
  Forward: 12,
  ForwardRefused: 13,
  ReadAsk: 14,
  ReadAnswer: 15,
  SnapshotAsk: 16,
  SnapshotChunk: 17,
  SnapshotGone: 18,
  Acknowledged: 19,
  Quarantined: 20
} as const satisfies Record<Message["_tag"], number>

const entryHeadBytes = 13
const reasons = ["not-leader", "overloaded"] as const

/** The most a message takes: three bytes a character, and all its data. */
function roomFor(message: Message, group: string): number {
  const text = 3 * (group.length + message.from.length + message.to.length)
  const fixed = headBytes + 6 + text + 128
  switch (message._tag) {
    case "Append": {
      let bytes = fixed
      for (const entry of message.entries) bytes += entryHeadBytes + entry.data.length
      return bytes
    }
    case "Forward": {
      let bytes = fixed
      for (const { id, data } of message.proposals) {
        bytes += 16 + 3 * (id.proposer.length + id.boot.length) + data.length
      }
      return bytes
    }
    case "ForwardRefused":
      return fixed + 3 * (message.leader.length + message.boot.length) + 8 * message.seqs.length
    case "ReadAsk":
    case "ReadAnswer":
      return fixed + 3 * message.boot.length
    case "SnapshotOffer":
      return fixed + message.config.length
    case "SnapshotChunk":
      return fixed + message.data.length
    default:
      return fixed
  }
}

/** One message, by itself. */
export const encodeMessage = (message: Message, group: string): Uint8Array =>
  new MessageEncoder(group).encode(message)

/** Messages of one member, one after another. What several members are sent of the log is put into bytes once. */
export class MessageEncoder {
  readonly #group: string
  #entries: ReadonlyArray<Entry> = []
  #encoded: Uint8Array = new Uint8Array(0)

  constructor(group: string) {
    this.#group = group
  }

  encode(message: Message): Uint8Array {
    return encodeWith(message, this.#group, (entries) => {
      if (entries !== this.#entries) {
        this.#encoded = encodeEntries(entries)
        this.#entries = entries
      }
      return this.#encoded
    })
  }
}

type EntriesEncoder = (entries: ReadonlyArray<Entry>) => Uint8Array

function encodeEntries(entries: ReadonlyArray<Entry>): Uint8Array {
  let size = 0
  for (const { data } of entries) size += entryHeadBytes + data.length
  const fields = new Writer(new Uint8Array(size))
  for (const { term, type, data } of entries) {
    fields.u64(term)
    fields.u8(type)
    long(fields, data)
  }
  return fields.bytes
}

function encodeWith(message: Message, group: string, encoder: EntriesEncoder): Uint8Array {
  const room = new Uint8Array(roomFor(message, group))
  const fields = new Writer(room)
  fields.u32(mark)
  fields.u8(version)
  fields.u8(kinds[message._tag])
  // Length and checksum come last.
  fields.u32(0)
  fields.u32(0)
  fields.string(group)
  fields.string(message.from)
  fields.string(message.to)
  fields.u64(message.term)
  encodeBody(fields, message, encoder)
  const bytes = room.subarray(0, fields.at)
  new Writer(bytes, 6).u32(bytes.length)
  new Writer(bytes, crcAt).u32(checksumOf(bytes))
  return bytes
}

const checksumOf = (bytes: Uint8Array): number =>
  crc32(bytes.subarray(headBytes), crc32(bytes.subarray(0, crcAt)))

const long = (fields: Writer, bytes: Uint8Array): void => {
  fields.u32(bytes.length)
  fields.raw(bytes)
}

function encodeBody(fields: Writer, message: Message, encoder: EntriesEncoder): void {
  switch (message._tag) {
    case "PreVote":
    case "Vote":
      fields.u64(message.lastIndex)
      fields.u64(message.lastTerm)
      if (message._tag === "Vote") fields.u8(message.transfer ? 1 : 0)
      return
    case "PreVoteReply":
    case "VoteReply":
      fields.u8(message.granted ? 1 : 0)
      return
    case "Append":
      fields.u64(message.prevIndex)
      fields.u64(message.prevTerm)
      fields.u64(message.commit)
      fields.u8(message.quiet ? 1 : 0)
      fields.u32(message.entries.length)
      fields.raw(encoder(message.entries))
      return
    case "AppendReply":
      fields.u8(message.accepted ? 1 : 0)
      fields.u64(message.index)
      fields.u64(message.hintIndex)
      fields.u64(message.hintTerm)
      fields.u64(message.lastIndex)
      return
    case "Heartbeat":
      fields.u64(message.commit)
      fields.u64(message.read)
      return
    case "HeartbeatReply":
      fields.u64(message.read)
      return
    case "SnapshotOffer":
      fields.u64(message.index)
      fields.u64(message.snapshotTerm)
      long(fields, message.config)
      return
    case "Acknowledged":
      fields.u64(message.index)
      return
    case "TimeoutNow":
    case "Removed":
    case "Quarantined":
      return
    case "Forward":
      fields.u32(message.proposals.length)
      for (const { id, data } of message.proposals) {
        fields.string(id.proposer)
        fields.string(id.boot)
        fields.u64(id.seq)
        long(fields, data)
      }
      return
    case "ForwardRefused":
      fields.u8(reasons.indexOf(message.reason))
      fields.string(message.leader)
      fields.string(message.boot)
      fields.u32(message.seqs.length)
      for (const seq of message.seqs) fields.u64(seq)
      return
    case "ReadAsk":
      fields.string(message.boot)
      fields.u64(message.id)
      return
    case "ReadAnswer":
      fields.string(message.boot)
      fields.u64(message.id)
      fields.u64(message.index)
      return
    case "SnapshotAsk":
      fields.u64(message.index)
      fields.u64(message.snapshotTerm)
      fields.u64(message.chunk)
      fields.u32(message.count)
      return
    case "SnapshotChunk":
      fields.u64(message.index)
      fields.u64(message.snapshotTerm)
      fields.u64(message.chunk)
      fields.u8(message.last ? 1 : 0)
      fields.u32(message.checksum)
      long(fields, message.data)
      return
    case "SnapshotGone":
      fields.u64(message.index)
      fields.u64(message.snapshotTerm)
      return
    default:
      never(message)
  }
}

/** Whole, but said in another group: of another cluster, or of another incarnation of this one. */
export class OfAnotherGroup extends Malformed {
  readonly group: string

  constructor(group: string, here: string) {
    super(`it is for the group ${group}, this is ${here}`)
    this.group = group
  }
}

/**
 * Throws `Malformed` for everything that is not a whole message of this group, `OfAnotherGroup` where that may be all
 * that is wrong. What it returns owns its bytes.
 */
export function decodeMessage(received: Uint8Array, group: string): Message {
  if (received.length < headBytes) throw new Malformed("it is shorter than a message's head")
  const head = new Reader(received)
  if (head.u32() !== mark) throw new Malformed("it is not a message of consensus")
  const itsVersion = head.u8()
  if (itsVersion !== version) throw new Malformed(`messages of version ${itsVersion} are not known here`)
  const kind = head.u8()
  if (head.u32() !== received.length) throw new Malformed("its length is not what it says")
  if (head.u32() !== checksumOf(received)) throw new Malformed("its checksum is wrong")
  // Entries live long; the buffer they came in is the connection's. `slice` of a `Buffer` would still be that one.
  const fields = new Reader(new Uint8Array(received), headBytes)
  const itsGroup = fields.string()
  if (itsGroup !== group) throw new OfAnotherGroup(itsGroup, group)
  const message = decodeBody(fields, kind)
  if (fields.left > 0) throw new Malformed(`${fields.left} bytes after a message`)
  return message
}

const bytesOf = (fields: Reader): Uint8Array => fields.raw(fields.u32())

function flag(fields: Reader): boolean {
  const value = fields.u8()
  if (value > 1) throw new Malformed(`a yes or no that is ${value}`)
  return value === 1
}

/** How many follow, each at least so large: a made-up number must not make us reserve anything. */
function count(fields: Reader, atLeastBytes: number): number {
  const number = fields.u32()
  if (number * atLeastBytes > fields.left) throw new Malformed(`${number} things in ${fields.left} bytes`)
  return number
}

function decodeBody(fields: Reader, kind: number): Message {
  const letter = { from: fields.string(), to: fields.string(), term: fields.u64() }
  switch (kind) {
    case kinds.PreVote:
      return { _tag: "PreVote", ...letter, lastIndex: fields.u64(), lastTerm: fields.u64() }
    case kinds.Vote:
      return {
        _tag: "Vote",
        ...letter,
        lastIndex: fields.u64(),
        lastTerm: fields.u64(),
        transfer: flag(fields)
      }
    case kinds.PreVoteReply:
      return { _tag: "PreVoteReply", ...letter, granted: flag(fields) }
    case kinds.VoteReply:
      return { _tag: "VoteReply", ...letter, granted: flag(fields) }
    case kinds.Append: {
      const at = {
        prevIndex: fields.u64(),
        prevTerm: fields.u64(),
        commit: fields.u64(),
        quiet: flag(fields)
      }
      return { _tag: "Append", ...letter, ...at, entries: decodeEntries(fields, at.prevIndex) }
    }
    case kinds.AppendReply:
      return {
        _tag: "AppendReply",
        ...letter,
        accepted: flag(fields),
        index: fields.u64(),
        hintIndex: fields.u64(),
        hintTerm: fields.u64(),
        lastIndex: fields.u64()
      }
    case kinds.Heartbeat:
      return { _tag: "Heartbeat", ...letter, commit: fields.u64(), read: fields.u64() }
    case kinds.HeartbeatReply:
      return { _tag: "HeartbeatReply", ...letter, read: fields.u64() }
    case kinds.Acknowledged:
      return { _tag: "Acknowledged", ...letter, index: fields.u64() }
    case kinds.Quarantined:
      return { _tag: "Quarantined", ...letter }
    case kinds.SnapshotOffer:
      return {
        _tag: "SnapshotOffer",
        ...letter,
        index: fields.u64(),
        snapshotTerm: fields.u64(),
        config: bytesOf(fields)
      }
    case kinds.TimeoutNow:
      return { _tag: "TimeoutNow", ...letter }
    case kinds.Removed:
      return { _tag: "Removed", ...letter }
    case kinds.Forward: {
      const proposals = Array.from({ length: count(fields, 16) }, () => ({
        id: { proposer: fields.string(), boot: fields.string(), seq: fields.u64() },
        data: bytesOf(fields)
      }))
      return { _tag: "Forward", ...letter, proposals }
    }
    case kinds.ForwardRefused: {
      const reason = reasons[fields.u8()]
      if (reason === undefined) throw new Malformed("a refusal without a reason")
      const whose = { leader: fields.string(), boot: fields.string() }
      const seqs = Array.from({ length: count(fields, 8) }, () => fields.u64())
      return { _tag: "ForwardRefused", ...letter, reason, ...whose, seqs }
    }
    case kinds.ReadAsk:
      return { _tag: "ReadAsk", ...letter, boot: fields.string(), id: fields.u64() }
    case kinds.ReadAnswer:
      return { _tag: "ReadAnswer", ...letter, boot: fields.string(), id: fields.u64(), index: fields.u64() }
    case kinds.SnapshotAsk:
      return {
        _tag: "SnapshotAsk",
        ...letter,
        index: fields.u64(),
        snapshotTerm: fields.u64(),
        chunk: fields.u64(),
        count: fields.u32()
      }
    case kinds.SnapshotChunk:
      return {
        _tag: "SnapshotChunk",
        ...letter,
        index: fields.u64(),
        snapshotTerm: fields.u64(),
        chunk: fields.u64(),
        last: flag(fields),
        checksum: fields.u32(),
        data: bytesOf(fields)
      }
    case kinds.SnapshotGone:
      return { _tag: "SnapshotGone", ...letter, index: fields.u64(), snapshotTerm: fields.u64() }
    default:
      throw new Malformed(`messages of kind ${kind} are not known here`)
  }
}

function decodeEntries(fields: Reader, prevIndex: number): ReadonlyArray<Entry> {
  const number = count(fields, entryHeadBytes)
  const entries: Array<Entry> = []
  for (let i = 1; i <= number; i++) {
    const term = fields.u64()
    const type = fields.u8()
    const data = bytesOf(fields)
    if (data.length > 2 * maxEntryBytes) throw new Malformed(`an entry of ${data.length} bytes`)
    entries.push({ index: prevIndex + i, term, type, data })
  }
  return entries
}
