/** Messages as bytes: there and back, and what spoilt or foreign bytes lead to. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { crc32 } from "node:zlib"
import { decodeMessage, encodeMessage } from "#actors/raft/host/codec.ts"
import { commandOf, encodeEnvelope, idOf, seqOf } from "#actors/raft/host/envelope.ts"
import type { Message } from "#actors/raft/host/message.ts"
import { hex, Malformed } from "#actors/raft/storage/bytes.ts"
import { Fresh } from "#runtime/ids.ts"
import { dataOf } from "#test/support/raft-group.ts"

setDefaultTimeout(60_000)

const at = { from: "n1", to: "nü", term: 2 ** 40 + 7 }
const entry = (index: number, text: string) => ({ index, term: 3, type: 3, data: dataOf(text) })
const snapshot = { index: 2 ** 33, snapshotTerm: 5 }

const examples: ReadonlyArray<Message> = [
  { _tag: "PreVote", ...at, lastIndex: 9, lastTerm: 8 },
  { _tag: "PreVoteReply", ...at, granted: true },
  { _tag: "Vote", ...at, lastIndex: 9, lastTerm: 8, transfer: true },
  { _tag: "VoteReply", ...at, granted: false },
  {
    _tag: "Append",
    ...at,
    prevIndex: 6,
    prevTerm: 3,
    commit: 6,
    quiet: true,
    entries: [entry(7, "x"), entry(8, "")]
  },
  { _tag: "Append", ...at, prevIndex: 6, prevTerm: 3, commit: 6, quiet: false, entries: [] },
  { _tag: "AppendReply", ...at, accepted: false, index: 1, hintIndex: 2, hintTerm: 3, lastIndex: 4 },
  { _tag: "Heartbeat", ...at, commit: 5, read: 6 },
  { _tag: "HeartbeatReply", ...at, read: 6 },
  { _tag: "SnapshotOffer", ...at, ...snapshot, config: dataOf("config") },
  { _tag: "TimeoutNow", ...at },
  { _tag: "Removed", ...at },
  {
    _tag: "Forward",
    ...at,
    proposals: [
      { id: { proposer: "n1", boot: "b", seq: 1 }, data: dataOf("y") },
      { id: { proposer: "n2", boot: "ß", seq: 2 ** 50 }, data: dataOf("") }
    ]
  },
  { _tag: "ForwardRefused", ...at, reason: "overloaded", leader: "", boot: "b", seqs: [1, 2 ** 50] },
  { _tag: "ReadAsk", ...at, boot: "b", id: 4 },
  { _tag: "ReadAnswer", ...at, boot: "b", id: 4, index: 77 },
  { _tag: "SnapshotAsk", ...at, ...snapshot, chunk: 3, count: 8 },
  {
    _tag: "SnapshotChunk",
    ...at,
    ...snapshot,
    chunk: 3,
    last: true,
    checksum: 0xffff_fffe,
    data: dataOf("chunk")
  },
  { _tag: "SnapshotGone", ...at, ...snapshot },
  { _tag: "Acknowledged", ...at, index: 2 ** 33 },
  { _tag: "Quarantined", ...at }
]

describe("a message", () => {
  for (const message of examples) {
    test(`${message._tag} is the same after it was bytes`, () => {
      expect(decodeMessage(encodeMessage(message, "blue.1"), "blue.1")).toEqual(message)
    })
  }

  test("H5: looks as it did in every release: members of two of them understand each other", () => {
    const file = join(import.meta.dirname, "messages.txt")
    const lines = examples
      .map((message) => `${message._tag} ${hex(encodeMessage(message, "blue.1"))}\n`)
      .join("")
    if (process.env.REWRITE === "1") writeFileSync(file, lines)
    expect(lines).toBe(readFileSync(file, "utf8"))
  })

  test("E16: of another cluster or incarnation is not understood", () => {
    const [first] = examples as [Message]
    expect(() => decodeMessage(encodeMessage(first, "blue.1"), "blue.2")).toThrow("for the group blue.1")
  })

  test("D2: with a single bit that is not as it was sent is not understood", () => {
    for (const message of examples) {
      const bytes = encodeMessage(message, "blue.1")
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const spoilt = bytes.slice()
        spoilt[bit >> 3] = (spoilt[bit >> 3] as number) ^ (1 << (bit & 7))
        expect(() => decodeMessage(spoilt, "blue.1")).toThrow(Malformed)
      }
    }
  })

  test("K7: of random and mutated bytes is refused as malformed, and nothing else ever happens", () => {
    const chance = Fresh.from(1)
    const runs = Number(process.env.RUNS ?? 100_000)
    for (let i = 0; i < runs; i++) {
      const bytes = encodeMessage(examples[i % examples.length] as Message, "blue.1").slice()
      const cut = chance.below(4) === 0 ? bytes.slice(0, chance.below(bytes.length + 1)) : bytes
      for (let n = chance.below(6); n > 0 && cut.length > 0; n--)
        cut[chance.below(cut.length)] = chance.below(256)
      // Where the checksum would hide what lies behind it, it is made right again.
      const tried = chance.below(2) === 0 ? cut : sealed(cut)
      try {
        decodeMessage(tried, "blue.1")
      } catch (error) {
        if (!(error instanceof Malformed)) throw error
      }
    }
  })

  test("owns its bytes: what becomes of the buffer it came in does not matter", () => {
    const bytes = encodeMessage(examples[4] as Message, "blue.1").slice()
    const message = decodeMessage(bytes, "blue.1")
    bytes.fill(0)
    expect(message).toEqual(examples[4] as Message)
  })
})

/** With length and checksum as they should be. */
function sealed(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 14) return bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  view.setUint32(0, 0x7466_6172, true)
  view.setUint8(4, 1)
  view.setUint32(6, bytes.length, true)
  view.setUint32(10, crc32(bytes.subarray(14), crc32(bytes.subarray(0, 10))), true)
  return bytes
}

describe("the envelope of a proposal", () => {
  test("gives back its id and its command", () => {
    const id = { proposer: "nü", boot: "b", seq: 2 ** 45 }
    const bytes = encodeEnvelope(id, dataOf("command"))
    expect(seqOf(bytes)).toBe(id.seq)
    expect(idOf(bytes)).toEqual(id)
    expect(commandOf(bytes)).toEqual(dataOf("command"))
    expect(commandOf(encodeEnvelope(id, new Uint8Array(0)))).toEqual(new Uint8Array(0))
    for (let cut = 0; cut < bytes.length - 7; cut++)
      expect(() => commandOf(bytes.subarray(0, cut))).toThrow(Malformed)
  })
})
