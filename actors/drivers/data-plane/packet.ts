/** Questions as they come over the wire and answers as they go out; `dns-packet` knows the format. RFC 1035, 6891. */
import { Buffer } from "node:buffer"
import * as dns from "dns-packet"
import type { NameRecord, Question } from "#actors/network/names/answer.ts"

/** What passes every network in one piece (DNS flag day 2020); without EDNS a datagram may have 512 bytes. RFC 1035 §4.2.1. */
const largestDatagram = 1_232
const plainDatagram = 512
const largestMessage = 65_535
const headerBytes = 12

export const noError = 0
const formatError = 1
export const serverFailure = 2
export const nonexistent = 3
export const notImplemented = 4
export const refused = 5

/** A question with what its answer has to repeat. */
export interface Query {
  readonly packet: dns.DecodedPacket
  readonly question: dns.Question & Question
  /** What the asker takes in one datagram. */
  readonly datagramBytes: number
  /** Why it cannot be answered at all, as the answer says it. */
  readonly problem: number
}

/** `undefined` where there is nothing to answer: no header, or an answer itself. */
export function readQuery(bytes: Uint8Array): Query | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length < headerBytes || (buffer.readUInt8(2) & 0x80) !== 0) return undefined
  const packet = decode(buffer)
  const [question] = packet.questions ?? []
  if (question === undefined || packet.questions?.length !== 1) {
    return { packet, question: { name: ".", type: "A" }, datagramBytes: plainDatagram, problem: formatError }
  }
  const edns = packet.additionals?.find((record) => record.type === "OPT")
  const asked = edns?.type === "OPT" ? edns.udpPayloadSize : 0
  const isQuery = ((packet.flags ?? 0) & 0x7800) === 0
  return {
    packet,
    question,
    datagramBytes: Math.max(plainDatagram, Math.min(largestDatagram, asked)),
    problem: !isQuery ? notImplemented : question.class === "IN" ? noError : refused
  }
}

/** What cannot be read still has an id, and is told so. */
function decode(buffer: Buffer): dns.DecodedPacket {
  try {
    return dns.decode(buffer)
  } catch {
    const header = Buffer.alloc(headerBytes)
    buffer.copy(header, 0, 0, 4)
    return dns.decode(header)
  }
}

interface Content {
  readonly code: number
  readonly records?: ReadonlyArray<NameRecord>
  readonly additionals?: ReadonlyArray<NameRecord>
}

/**
 * The answer as it goes out. In a datagram that is too small for it, it is cut short and says so, and the asker may come
 * again over TCP; what only helps (additionals) goes first, without a word.
 */
export function writeAnswer(query: Query, content: Content, over: "udp" | "tcp"): Uint8Array {
  const { packet, question } = query
  const limit = over === "tcp" ? largestMessage : query.datagramBytes
  const isAsked = (packet.questions ?? []).length > 0
  const hasEdns = packet.additionals?.some(({ type }) => type === "OPT") === true
  const edns: dns.Answer = {
    type: "OPT",
    name: ".",
    udpPayloadSize: largestDatagram,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: []
  }
  const tail = hasEdns ? [edns] : []
  const questions = isAsked ? [question] : []
  let room = limit - dns.encodingLength({ questions, additionals: tail })
  const fitting = (records: ReadonlyArray<NameRecord>): ReadonlyArray<NameRecord> => {
    for (const [at, record] of records.entries()) {
      room -= dns.encodingLength({ answers: [record] }) - headerBytes
      if (room < 0) return records.slice(0, at)
    }
    return records
  }
  const { code, records = [], additionals = [] } = content
  const kept = fitting(records)
  const isWhole = kept.length === records.length
  const beside = isWhole ? fitting(additionals) : []
  const opcode = (packet.flags ?? 0) & 0x7800
  const repeated = (packet.flags ?? 0) & (dns.RECURSION_DESIRED | dns.CHECKING_DISABLED)
  const own = code === noError || code === nonexistent ? dns.AUTHORITATIVE_ANSWER : 0
  const cut = isWhole ? 0 : dns.TRUNCATED_RESPONSE
  return dns.encode({
    type: "response",
    id: packet.id ?? 0,
    flags: opcode | repeated | own | cut | dns.RECURSION_AVAILABLE | code,
    questions,
    answers: [...kept],
    additionals: [...beside, ...tail]
  })
}

/** Two bytes of length before each message. RFC 1035 §4.2.2. */
export function framed(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(message.length + 2)
  frame.writeUInt16BE(message.length, 0)
  frame.set(message, 2)
  return frame
}

/** Calls `take` with every whole message of a stream. */
export function eachMessage(take: (message: Uint8Array) => void): (chunk: Uint8Array) => void {
  let rest: Uint8Array = new Uint8Array(0)
  return (chunk) => {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (bytes.length >= 2) {
      const end = 2 + ((bytes[0] as number) << 8) + (bytes[1] as number)
      if (bytes.length < end) break
      take(bytes.subarray(2, end))
      bytes = bytes.subarray(end)
    }
    rest = bytes
  }
}
