/**
 * Messages larger than one publish carries, in parts.
 *
 * Parts follow each other on the message's own subject, over the sender's own connection. So a message in parts keeps
 * its place among the plain ones before and after it: it is complete when its last part arrives. A lost part loses the
 * message; whoever must know asks, as ever.
 */
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import type { Headers } from "#runtime/transport.ts"

/** Largest body in bytes that is carried at all. */
export const largestMessage = 16 * 1024 * 1024

/** Which part of what this is: `<id> <part, from 0> <parts> <bytes of the whole> <crc-32 of the whole>`. */
export const partHeader = "troupe-part"

/** What one part's own header takes, generously. */
const partHeaderBytes = 160
/** A server that takes so little per message is not one we can speak through. */
const smallestPart = 512

export interface Part {
  readonly headers: Headers
  readonly body: Uint8Array
}

/** Cuts a body. The first part carries the message's headers, which take `headerBytes`; `limit` is for both. */
export function split(
  id: string,
  headers: Headers,
  body: Uint8Array,
  limit: number,
  headerBytes: number
): ReadonlyArray<Part> {
  const room = Math.max(smallestPart, limit - headerBytes - partHeaderBytes)
  const count = Math.ceil(body.length / room)
  const whole = `${count} ${body.length} ${crc32(body).toString(16)}`
  return Array.from({ length: count }, (_, index) => ({
    headers: { ...(index === 0 && headers), [partHeader]: `${id} ${index} ${whole}` },
    body: body.subarray(index * room, Math.min(body.length, (index + 1) * room))
  }))
}

interface PartName {
  readonly id: string
  readonly index: number
  readonly count: number
  readonly bytes: number
  readonly crc: string
}

const partPattern = /^(\S{1,128}) (\d{1,6}) (\d{1,6}) (\d{1,9}) ([0-9a-f]{1,8})$/

function readPart(text: string): PartName | undefined {
  const [, id, index, count, bytes, crc] = partPattern.exec(text) ?? []
  if (id === undefined || crc === undefined) return undefined
  const part = { id, index: Number(index), count: Number(count), bytes: Number(bytes), crc }
  const makesSense = part.index < part.count && part.count * smallestPart < part.bytes + smallestPart
  return makesSense ? part : undefined
}

export type Taken =
  /** The last missing part: here is the message. */
  | { readonly _tag: "Whole"; readonly headers: Headers; readonly body: Uint8Array }
  | { readonly _tag: "Waiting" }
  /** The message will not be whole. Said once for each. */
  | { readonly _tag: "Lost"; readonly why: string }

interface Assembly {
  readonly name: PartName
  readonly parts: Array<Uint8Array | undefined>
  headers: Headers
  missing: number
  held: number
  readonly until: number
}

export interface ReassemblyLimits {
  /** Bytes that all unfinished messages may hold; the oldest one is given up for a new one. */
  readonly maxBytes: number
  /** How long a message may take from its first part to its last, in milliseconds. */
  readonly patienceMs: number
}

const usualLimits: ReassemblyLimits = { maxBytes: 4 * largestMessage, patienceMs: 10_000 }

/** A part of a message that ended lately is a duplicate, not the beginning of another one. */
const rememberedIds = 1_024

const waiting: Taken = { _tag: "Waiting" }
const lost = (why: string): Taken => ({ _tag: "Lost", why })

/** Puts messages together again, from parts in any order, some of them twice. Reads no clock: `now` comes with each. */
export class Reassembly {
  readonly #limits: ReassemblyLimits
  /** Oldest first, because a map keeps the order in which keys came. */
  readonly #open = new Map<string, Assembly>()
  #ended = new Set<string>()
  #endedBefore = new Set<string>()
  #held = 0

  constructor(limits: ReassemblyLimits = usualLimits) {
    this.#limits = limits
  }

  get heldBytes(): number {
    return this.#held
  }

  /** When the oldest unfinished message is given up; undefined when there is none. */
  get nextExpiry(): number | undefined {
    const [oldest] = this.#open.values()
    return oldest?.until
  }

  /** Takes one part. `scope` keeps apart what arrives at different places, such as two subscriptions. */
  take(scope: string, headers: Headers, body: Uint8Array, now: number): Taken {
    const name = readPart(headers[partHeader] ?? "")
    if (!name) return lost("a part that does not say of what")
    const key = `${scope} ${name.id}`
    if (this.#ended.has(key) || this.#endedBefore.has(key)) return waiting
    if (name.bytes > largestMessage) {
      this.#end(key)
      return lost(`${name.bytes} bytes are more than the ${largestMessage} that are carried in parts`)
    }
    const assembly = this.#open.get(key) ?? this.#begin(key, name, now)
    if (!assembly) return lost("too much is under way in parts already")
    const { count, bytes, crc } = assembly.name
    if (name.count !== count || name.bytes !== bytes || name.crc !== crc) {
      this.#end(key)
      return lost("its parts are of different messages")
    }
    if (assembly.parts[name.index] !== undefined) return waiting
    assembly.parts[name.index] = body
    if (name.index === 0) assembly.headers = headers
    assembly.missing--
    assembly.held += body.length
    this.#held += body.length
    if (assembly.held > bytes) {
      this.#end(key)
      return lost("its parts are more than the whole")
    }
    if (assembly.missing > 0) return this.#makeRoom(key)
    this.#end(key)
    return join(assembly)
  }

  /** Gives up what has waited too long; how many messages those are. */
  expire(now: number): number {
    let given = 0
    for (const [key, assembly] of this.#open) {
      if (assembly.until > now) break
      this.#end(key)
      given++
    }
    return given
  }

  #begin(key: string, name: PartName, now: number): Assembly | undefined {
    if (name.bytes > this.#limits.maxBytes) return undefined
    const assembly: Assembly = {
      name,
      parts: new Array(name.count),
      headers: {},
      missing: name.count,
      held: 0,
      until: now + this.#limits.patienceMs
    }
    this.#open.set(key, assembly)
    return assembly
  }

  /** The oldest other message goes when all of them hold too much. */
  #makeRoom(keep: string): Taken {
    let given = 0
    for (const key of this.#open.keys()) {
      if (this.#held <= this.#limits.maxBytes) break
      if (key === keep) continue
      this.#end(key)
      given++
    }
    return given === 0 ? waiting : lost(`${given} unfinished before it, to make room`)
  }

  #end(key: string): void {
    this.#held -= this.#open.get(key)?.held ?? 0
    this.#open.delete(key)
    this.#ended.add(key)
    if (this.#ended.size < rememberedIds) return
    this.#endedBefore = this.#ended
    this.#ended = new Set()
  }
}

function join({ name, parts, headers }: Assembly): Taken {
  const body = Buffer.concat(parts as ReadonlyArray<Uint8Array>)
  if (body.length !== name.bytes || crc32(body).toString(16) !== name.crc) {
    return lost("its parts do not make up what was sent")
  }
  const { [partHeader]: _, ...rest } = headers
  return { _tag: "Whole", headers: rest, body }
}
