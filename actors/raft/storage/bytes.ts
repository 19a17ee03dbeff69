/** Little-endian numbers, byte strings and text, written and read one after another. */
import { assert } from "#runtime/assert.ts"

const text = { encoder: new TextEncoder(), decoder: new TextDecoder("utf-8", { fatal: true }) }

export const utf8 = (value: string): Uint8Array => text.encoder.encode(value)

const half = 2 ** 32

// By single bytes: a `DataView` would first have every small array given a buffer of its own, which costs more than all
// that is written then.
export class Writer {
  readonly bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.#at = at
  }

  get at(): number {
    return this.#at
  }
  /** Where the next `count` bytes go. A typed array ignores what is written behind its end. */
  #take(count: number): number {
    const at = this.#at
    this.#at += count
    assert(this.#at <= this.bytes.length, "what is written has room")
    return at
  }
  u8(value: number): void {
    this.bytes[this.#take(1)] = value
  }
  u16(value: number): void {
    const { bytes } = this
    const at = this.#take(2)
    bytes[at] = value
    bytes[at + 1] = value >>> 8
  }
  u32(value: number): void {
    const { bytes } = this
    const at = this.#take(4)
    bytes[at] = value
    bytes[at + 1] = value >>> 8
    bytes[at + 2] = value >>> 16
    bytes[at + 3] = value >>> 24
  }
  u64(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "numbers on disk are whole and below 2^53")
    this.u32(value % half)
    this.u32(Math.floor(value / half))
  }
  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#take(bytes.length))
  }
  /** Length (2 bytes), then the bytes. */
  short(bytes: Uint8Array): void {
    assert(bytes.length < 65_536, "a short field is below 64 KiB")
    this.u16(bytes.length)
    this.raw(bytes)
  }
  string(value: string): void {
    this.short(utf8(value))
  }
}

/** Thrown by `Reader` when the bytes end early or say nonsense; caught where the bytes entered. */
export class Malformed extends Error {
  override readonly name = "Malformed"
}

export class Reader {
  readonly bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.#at = at
  }

  get at(): number {
    return this.#at
  }
  get left(): number {
    return this.bytes.length - this.#at
  }
  #take(count: number): number {
    if (this.left < count) throw new Malformed(`${count} bytes wanted at ${this.#at}, ${this.left} left`)
    const at = this.#at
    this.#at += count
    return at
  }
  u8(): number {
    return this.bytes[this.#take(1)] as number
  }
  u16(): number {
    const at = this.#take(2)
    return (this.bytes[at] as number) | ((this.bytes[at + 1] as number) << 8)
  }
  u32(): number {
    const { bytes } = this
    const at = this.#take(4)
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16)
    return (low | ((bytes[at + 3] as number) << 24)) >>> 0
  }
  u64(): number {
    const at = this.#at
    const value = this.u32() + this.u32() * half
    if (!Number.isSafeInteger(value)) throw new Malformed(`a number above 2^53 at ${at}`)
    return value
  }
  /** A view, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.#take(length)
    return this.bytes.subarray(at, at + length)
  }
  short(): Uint8Array {
    return this.raw(this.u16())
  }
  string(): string {
    try {
      return text.decoder.decode(this.short())
    } catch (error) {
      if (error instanceof Malformed) throw error
      throw new Malformed(`text at ${this.#at} is not UTF-8`)
    }
  }
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export const allZero = (bytes: Uint8Array, from = 0, to = bytes.length): boolean => {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false
  return true
}

/** Lower-case hexadecimal, for names people read. */
export const hex = (bytes: Uint8Array): string => {
  let out = ""
  for (const byte of bytes) out += pairs[byte]
  return out
}
const pairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))
