/** Little-endian numbers, byte strings and text, written and read one after another. */
import { assert } from "#runtime/assert.ts"

const text = { encoder: new TextEncoder(), decoder: new TextDecoder("utf-8", { fatal: true }) }

export const utf8 = (value: string): Uint8Array => text.encoder.encode(value)

const half = 2 ** 32

export class Writer {
  readonly bytes: Uint8Array
  readonly #view: DataView
  #at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#at = at
  }

  get at(): number {
    return this.#at
  }
  u8(value: number): void {
    this.#view.setUint8(this.#at, value)
    this.#at += 1
  }
  u16(value: number): void {
    this.#view.setUint16(this.#at, value, true)
    this.#at += 2
  }
  u32(value: number): void {
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }
  u64(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "numbers on disk are whole and below 2^53")
    this.#view.setUint32(this.#at, value % half, true)
    this.#view.setUint32(this.#at + 4, Math.floor(value / half), true)
    this.#at += 8
  }
  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at)
    this.#at += bytes.length
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
  readonly #view: DataView
  #at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
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
    return this.#view.getUint8(this.#take(1))
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }
  u64(): number {
    const at = this.#take(8)
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * half
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
