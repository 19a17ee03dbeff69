/**
 * JSON's values as bytes, several to a block: keys and texts that come again in a block are told once.
 *
 * Whatever JSON can say comes back as it was, so fields that this release does not know are kept. One byte says what
 * follows; numbers are LEB128 or IEEE 754; a block stands alone.
 */
import { Buffer } from "node:buffer"
import { BrokenInvariant } from "#runtime/assert.ts"

const tag = {
  null: 0,
  false: 1,
  true: 2,
  /** A whole number from 0 to 2³¹ − 1. */
  whole: 3,
  /** Any other number: eight bytes, little end first. */
  number: 4,
  /** A text not seen in this block, of single-byte characters below 128, or as UTF-8. */
  ascii: 5,
  utf8: 6,
  /** UTF-16, for texts that are not well-formed, which UTF-8 cannot carry. */
  utf16: 7,
  /** A text seen in this block, by its number. */
  again: 8,
  list: 9,
  /** An object with keys not seen together in this block, or seen, by their number. */
  fresh: 10,
  shaped: 11
} as const

/** Texts longer than this are hardly told twice, and finding that out would cost more. Part of the format. */
const longestShared = 32
/** Places for texts that may come again; one that loses its place is told anew. */
const places = 4096

/** Keys in the order of an object, as a path from the root; `latest` spares most lookups. */
interface Keys {
  readonly next: Map<string, Keys>
  latestKey: string
  latest: Keys | undefined
  number: number
}
const noKeys = (): Keys => ({ next: new Map(), latestKey: "", latest: undefined, number: -1 })

/** Gathers values into one block. */
export class Packer {
  #bytes = Buffer.allocUnsafeSlow(96 * 1024)
  #at = 0
  readonly #texts: Array<string> = new Array(places).fill("")
  /** Numbers count on from block to block, so that those of earlier blocks need no clearing. */
  readonly #numbers = new Float64Array(places).fill(-1)
  #count = 0
  #first = 0
  #keys = noKeys()
  #shapes = 0

  get length(): number {
    return this.#at
  }

  /** The block so far, to be copied before the next one begins. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  begin(): void {
    this.#at = 0
    this.#first = this.#count
    this.#keys = noKeys()
    this.#shapes = 0
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  value(value: unknown): void {
    switch (typeof value) {
      case "string":
        this.#text(value)
        return
      case "number":
        this.#number(value)
        return
      case "boolean":
        this.byte(value ? tag.true : tag.false)
        return
      case "object":
        if (value === null) this.byte(tag.null)
        else if (Array.isArray(value)) {
          this.byte(tag.list)
          this.#whole(value.length)
          for (const item of value) this.value(item)
        } else this.#object(value as Readonly<Record<string, unknown>>)
        return
      default:
        throw new BrokenInvariant(`A ${typeof value} cannot be written to a snapshot`)
    }
  }

  #object(object: Readonly<Record<string, unknown>>): void {
    let keys = this.#keys
    let count = 0
    for (const key in object) {
      if (object[key] === undefined) continue
      count++
      if (keys.latest !== undefined && keys.latestKey === key) {
        keys = keys.latest
        continue
      }
      let next = keys.next.get(key)
      if (next === undefined) {
        next = noKeys()
        keys.next.set(key, next)
      }
      keys.latestKey = key
      keys.latest = next
      keys = next
    }
    if (keys.number < 0) {
      keys.number = this.#shapes++
      this.byte(tag.fresh)
      this.#whole(count)
      for (const key in object) if (object[key] !== undefined) this.#text(key)
    } else {
      this.byte(tag.shaped)
      this.#whole(keys.number)
    }
    for (const key in object) {
      const value = object[key]
      if (value !== undefined) this.value(value)
    }
  }

  #number(value: number): void {
    if (value === value >>> 0 && value < 0x8000_0000 && !Object.is(value, -0)) {
      this.byte(tag.whole)
      this.#whole(value)
      return
    }
    this.byte(tag.number)
    this.#room(8)
    this.#at = this.#bytes.writeDoubleLE(value, this.#at)
  }

  #text(text: string): void {
    const { length } = text
    if (length <= longestShared) {
      const place = placeOf(text)
      const number = this.#numbers[place] as number
      if (number >= this.#first && this.#texts[place] === text) {
        this.byte(tag.again)
        this.#whole(number - this.#first)
        return
      }
      this.#texts[place] = text
      this.#numbers[place] = this.#count++
    }
    this.#room(2 * length + 8)
    const start = this.#at
    this.byte(tag.ascii)
    this.#whole(length)
    const bytes = this.#bytes
    let at = this.#at
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) {
        this.#at = start
        this.#wideText(text)
        return
      }
      bytes[at++] = code
    }
    this.#at = at
  }

  #wideText(text: string): void {
    const encoding = text.isWellFormed() ? "utf8" : "utf16le"
    const size = Buffer.byteLength(text, encoding)
    this.byte(encoding === "utf8" ? tag.utf8 : tag.utf16)
    this.#whole(size)
    this.#room(size)
    this.#at += this.#bytes.write(text, this.#at, encoding)
  }

  #whole(value: number): void {
    this.#room(5)
    let rest = value
    while (rest > 127) {
      this.#bytes[this.#at++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.#at++] = rest
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(2 * (this.#at + bytes))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

/** By what differs in ids and times: the last characters, and the first. */
function placeOf(text: string): number {
  const { length } = text
  if (length < 4) return (length * 61 + (length > 0 ? text.charCodeAt(0) : 0)) & (places - 1)
  const end = text.charCodeAt(length - 2) * 31 + text.charCodeAt(length - 3)
  const start = text.charCodeAt(0) * 7 + text.charCodeAt(length - 4)
  return (end * 31 + start * 17 + length) & (places - 1)
}

/** Reads what a `Packer` wrote; throws `BrokenInvariant` on anything else. */
export class Unpacker {
  readonly #bytes: Buffer
  #at = 0
  readonly #texts: Array<string> = []
  readonly #shapes: Array<ReadonlyArray<string>> = []

  constructor(block: Uint8Array) {
    this.#bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength)
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  byte(): number {
    const value = this.#bytes[this.#at++]
    if (value === undefined) throw malformed("it ends in the middle of a value")
    return value
  }

  value(): unknown {
    const what = this.byte()
    switch (what) {
      case tag.null:
        return null
      case tag.false:
        return false
      case tag.true:
        return true
      case tag.whole:
        return this.#whole()
      case tag.number:
        return this.#bytes.readDoubleLE(this.#take(8))
      case tag.list: {
        const list: Array<unknown> = []
        for (let left = this.#whole(); left > 0; left--) list.push(this.value())
        return list
      }
      case tag.fresh: {
        const keys: Array<string> = []
        for (let left = this.#whole(); left > 0; left--) keys.push(this.#text(this.byte()))
        this.#shapes.push(keys)
        return this.#object(keys)
      }
      case tag.shaped: {
        const keys = this.#shapes[this.#whole()]
        if (keys === undefined) throw malformed("it refers to keys that it has not told")
        return this.#object(keys)
      }
      default:
        return this.#text(what)
    }
  }

  #object(keys: ReadonlyArray<string>): unknown {
    const object: Record<string, unknown> = {}
    for (const key of keys) {
      if (key !== "__proto__") object[key] = this.value()
      else {
        const value = this.value()
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
      }
    }
    return object
  }

  #text(what: number): string {
    switch (what) {
      case tag.again: {
        const text = this.#texts[this.#whole()]
        if (text === undefined) throw malformed("it refers to a text that it has not told")
        return text
      }
      case tag.ascii:
        return this.#fresh("latin1")
      case tag.utf8:
        return this.#fresh("utf8")
      case tag.utf16:
        return this.#fresh("utf16le")
      default:
        throw malformed(`${what} stands where a value begins`)
    }
  }

  #fresh(encoding: "latin1" | "utf8" | "utf16le"): string {
    const length = this.#whole()
    const start = this.#take(length)
    const text = this.#bytes.toString(encoding, start, start + length)
    if (text.length <= longestShared) this.#texts.push(text)
    return text
  }

  #whole(): number {
    let value = 0
    for (let scale = 0; scale < 35; scale += 7) {
      const byte = this.byte()
      value += (byte & 127) * 2 ** scale
      if (byte < 128) return value
    }
    throw malformed("a number does not end")
  }

  #take(bytes: number): number {
    const start = this.#at
    if (start + bytes > this.#bytes.length) throw malformed("it ends in the middle of a value")
    this.#at += bytes
    return start
  }
}

const malformed = (what: string): BrokenInvariant =>
  new BrokenInvariant(`Cannot read the snapshot: a block is malformed: ${what}`)
