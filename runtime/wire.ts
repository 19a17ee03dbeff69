/**
 * Bytes ↔ messages. What comes from another process is decoded here, once, by the receiver's own schema.
 *
 * Messages are plain data: the decoded and the encoded side of an `accepts` schema look the same, so a sender needs
 * no schema. Unknown fields are ignored; an unknown tag or a malformed message is not understood.
 */
import { Result, Schema } from "effect"
import type { AnyActor } from "#runtime/actor.ts"
import { header } from "#runtime/envelope.ts"
import {
  type Absence,
  MailboxFull,
  NotHere,
  NotUnderstood,
  Stopped,
  TimedOut,
  Unreachable
} from "#runtime/errors.ts"
import type { Delivery, Headers } from "#runtime/transport.ts"

/** An answer, or why there is none. */
export type Outcome = { readonly _tag: "Answer"; readonly value: unknown } | Absence

export type Decoded =
  | { readonly ok: true; readonly message: unknown }
  | { readonly ok: false; readonly problem: string }

const nothing = new Uint8Array(0)
/** A quarter of what a `Buffer` made for the purpose costs, and there is one of these per message. */
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** JSON; `undefined` is an empty text. Throws on what JSON cannot say, such as a cycle. */
export const encodeText = (message: unknown): string => JSON.stringify(message) ?? ""

/** A text as a body: UTF-8. */
export const bodyOf = (text: string): Uint8Array => (text === "" ? nothing : encoder.encode(text))

/** `encodeText` in UTF-8. */
export const encodeBody = (message: unknown): Uint8Array => bodyOf(encodeText(message))

export function decodeBody(body: Uint8Array): Decoded {
  if (body.length === 0) return { ok: true, message: undefined }
  try {
    return { ok: true, message: JSON.parse(decoder.decode(body)) }
  } catch (error) {
    return { ok: false, problem: `the body is not JSON: ${(error as Error).message}` }
  }
}

/** The messages of a bundle (`bundle.ts`); what is none counts as one that nobody understands. */
export function decodeMany(body: Uint8Array): ReadonlyArray<Decoded> {
  const parsed = decodeBody(body)
  if (!parsed.ok) return [parsed]
  if (!Array.isArray(parsed.message)) return [{ ok: false, problem: "the body is not an array of messages" }]
  return parsed.message.map((message) => ({ ok: true, message }))
}

type Decoder = (input: unknown) => Decoded

/** What `decodeBody` read, as an actor of this kind takes it. */
export function decodeMessage(definition: AnyActor, parsed: Decoded): Decoded {
  const { accepts } = definition
  if (!accepts) {
    return { ok: false, problem: `actors of kind ${definition.kind} take messages from inside only` }
  }
  return parsed.ok ? decoderOf(accepts)(parsed.message) : parsed
}

/** Making a decoder costs far more than using one. */
const decoders = new WeakMap<object, Decoder>()

/** Decodes plain data by a schema that needs no services. */
export function decoderOf(schema: Schema.Codec<unknown, unknown>): Decoder {
  const known = decoders.get(schema)
  if (known) return known
  const decode = Schema.decodeUnknownResult(schema)
  const decoder: Decoder = (input) => {
    const result = decode(input)
    if (Result.isSuccess(result)) return { ok: true, message: result.success }
    return { ok: false, problem: String(result.failure.message) }
  }
  decoders.set(schema, decoder)
  return decoder
}

/** An absence as a reply: its tag in a header, so that it can be told from any answer, its facts as the body. */
export function encodeAbsence(absence: Absence): readonly [Headers, Uint8Array] {
  // Named one by one: an error's own message is not enumerable, and a stack is nobody else's business.
  const facts = { message: absence.message, ...("capacity" in absence && { capacity: absence.capacity }) }
  return [{ [header.error]: absence._tag }, encodeBody(facts)]
}

/** What a reply says about `address`, which was asked with `withinMs` to spare. */
export function decodeReply(reply: Delivery, address: string, withinMs: number): Outcome {
  const body = decodeBody(reply.body)
  const tag = reply.headers[header.error]
  if (tag !== undefined) return readAbsence(tag, body.ok ? body.message : undefined, address, withinMs)
  if (body.ok) return { _tag: "Answer", value: body.message }
  return new NotUnderstood({ address, message: `Cannot read the answer of ${address}: ${body.problem}` })
}

function readAbsence(tag: string, facts: unknown, address: string, withinMs: number): Absence {
  const message = textField(facts, "message") ?? `${address} answered ${tag}`
  switch (tag) {
    case "NotHere":
      return new NotHere({ address, message })
    case "TimedOut":
      return new TimedOut({ address, withinMs, message })
    case "MailboxFull":
      return new MailboxFull({ address, capacity: numberField(facts, "capacity") ?? 0, message })
    case "Unreachable":
      return new Unreachable({ address, message })
    case "Stopped":
      return new Stopped({ address, message })
    default:
      return new NotUnderstood({ address, message })
  }
}

function textField(facts: unknown, name: string): string | undefined {
  const value = field(facts, name)
  return typeof value === "string" ? value : undefined
}

function numberField(facts: unknown, name: string): number | undefined {
  const value = field(facts, name)
  return typeof value === "number" ? value : undefined
}

function field(facts: unknown, name: string): unknown {
  return typeof facts === "object" && facts !== null ? (facts as Record<string, unknown>)[name] : undefined
}
