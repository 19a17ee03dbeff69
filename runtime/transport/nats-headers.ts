/**
 * NATS headers ↔ plain records, past the client's own class.
 *
 * The client canonicalises and checks every name on every message, which costs more than all the rest of sending one.
 * Ours are lower-case tokens written by `envelope.ts`; what others send is read as it stands on the wire.
 */
import type { Msg, MsgHdrs } from "nats"
import type { Headers } from "#runtime/transport.ts"

const version = "NATS/1.0"
const lineEnd = "\r\n"
// As in `wire.ts`: a `Buffer` made for each message would cost four times as much.
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What is sent of one message's headers, and how many bytes that is; undefined when there are none. */
export function encodeHeaders(
  headers: Headers
): { readonly carried: MsgHdrs; readonly bytes: number } | undefined {
  let text = version
  for (const name in headers) text += `${lineEnd}${name}: ${oneLine(headers[name] as string)}`
  if (text === version) return undefined
  const encoded = encoder.encode(text + lineEnd + lineEnd)
  // `publish` asks its headers for nothing but this; the contract suite fails if a later client asks for more.
  return { carried: { encode: () => encoded } as unknown as MsgHdrs, bytes: encoded.length }
}

/** A value never begins a header of its own, whoever chose it. */
const oneLine = (value: string): string => (/[\r\n]/.test(value) ? value.replace(/[\r\n]+/g, " ") : value)

const none: Headers = {}

interface RawMessage {
  readonly _msg?: { readonly hdr?: number; readonly reply?: Uint8Array }
  readonly _rdata?: Uint8Array
}

/** Where an answer is waited for, if anywhere: the client decodes even the absence of it, at the price of a message. */
export function replyOf(message: Msg): string | undefined {
  const { _msg } = message as unknown as RawMessage
  if (_msg && _msg.reply === undefined) return undefined
  return message.reply || undefined
}

/** The headers of a message, names as they were sent; the first value where one came twice. */
export function decodeHeaders(message: Msg): Headers {
  const { _msg, _rdata } = message as unknown as RawMessage
  const length = _msg?.hdr
  if (length === undefined || !_rdata) return fromMsgHdrs(message.headers)
  if (length < 0) return none
  const text = decoder.decode(_rdata.subarray(0, length))
  const headers: Record<string, string> = {}
  let at = text.indexOf(lineEnd)
  while (at >= 0) {
    const begin = at + lineEnd.length
    at = text.indexOf(lineEnd, begin)
    if (at <= begin) break
    const colon = text.indexOf(":", begin)
    if (colon < 0 || colon > at) continue
    const name = text.slice(begin, colon)
    headers[name] ??= text.slice(colon + 1, at).trim()
  }
  return headers
}

function fromMsgHdrs(carried: MsgHdrs | undefined): Headers {
  if (!carried) return none
  const headers: Record<string, string> = {}
  for (const [name, values] of carried) headers[name] = values[0] ?? ""
  return headers
}
