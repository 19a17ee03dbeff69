/**
 * Structures as JSON and back, with what JSON lacks: maps, sets, bytes, big and odd numbers, and references to objects
 * that live outside of the structure. What cannot be said, such as a function, is refused rather than dropped.
 */
import { Buffer } from "node:buffer"

export class NotPlain extends Error {
  override readonly name = "NotPlain"
}

export interface PlainOptions {
  /** Objects that are written as their name. */
  readonly shared: ReadonlyMap<unknown, string>
  /** Names of fields whose value is left out, and marked so. */
  readonly secret: ReadonlySet<string>
  /** Refuses structures of more values. */
  readonly most?: number
}

/** A field that was left out because it held a secret. */
export const redacted = { $redacted: true } as const

/** What `JSON.stringify` takes. Throws `NotPlain`, which says where it met what it cannot say. */
export function toPlain(value: unknown, options: PlainOptions): unknown {
  let left = options.most ?? Number.POSITIVE_INFINITY
  const write = (one: unknown, path: string): unknown => {
    if (left-- <= 0) throw new NotPlain(`more than ${options.most} values`)
    switch (typeof one) {
      case "string":
      case "boolean":
      case "undefined":
        return one
      case "number":
        return Number.isFinite(one) ? one : { $number: String(one) }
      case "bigint":
        return { $bigint: one.toString() }
      case "object":
        return one === null ? null : writeObject(one, path)
      default:
        throw new NotPlain(`${path || "it"} is a ${typeof one}`)
    }
  }
  const writeObject = (one: object, path: string): unknown => {
    const name = options.shared.get(one)
    if (name !== undefined) return { $shared: name }
    if (Array.isArray(one)) return one.map((item, i) => write(item, `${path}[${i}]`))
    if (one instanceof Map) {
      return { $map: [...one].map(([key, item]) => [write(key, path), write(item, `${path}.${key}`)]) }
    }
    if (one instanceof Set) return { $set: [...one].map((item) => write(item, path)) }
    if (one instanceof Uint8Array) return { $bytes: Buffer.from(one).toString("base64") }
    const prototype = Object.getPrototypeOf(one)
    if (prototype !== Object.prototype && prototype !== null) {
      throw new NotPlain(`${path || "it"} is a ${prototype.constructor?.name ?? "class"}`)
    }
    const plain: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(one)) {
      plain[key] =
        item !== undefined && options.secret.has(key)
          ? redacted
          : write(item, path === "" ? key : `${path}.${key}`)
    }
    return plain
  }
  return write(value, "")
}

export interface Restored {
  readonly value: unknown
  /** Something in it was left out when it was written. */
  readonly redacted: boolean
}

/** The inverse of `toPlain`. Throws when it refers to a shared object that is not among `shared`. */
export function fromPlain(plain: unknown, shared: ReadonlyMap<string, unknown>): Restored {
  let isRedacted = false
  const read = (one: unknown): unknown => {
    if (typeof one !== "object" || one === null) return one
    if (Array.isArray(one)) return one.map(read)
    const fields = one as Readonly<Record<string, unknown>>
    if ("$shared" in fields) {
      const name = String(fields.$shared)
      if (!shared.has(name)) throw new NotPlain(`${name} is not in this recording`)
      return shared.get(name)
    }
    if ("$map" in fields) {
      return new Map((fields.$map as Array<[unknown, unknown]>).map(([key, item]) => [read(key), read(item)]))
    }
    if ("$set" in fields) return new Set((fields.$set as Array<unknown>).map(read))
    if ("$bytes" in fields) return new Uint8Array(Buffer.from(String(fields.$bytes), "base64"))
    if ("$number" in fields) return Number(fields.$number)
    if ("$bigint" in fields) return BigInt(String(fields.$bigint))
    if ("$redacted" in fields) {
      isRedacted = true
      return undefined
    }
    return Object.fromEntries(Object.entries(fields).map(([key, item]) => [key, read(item)]))
  }
  const value = read(plain)
  return { value, redacted: isRedacted }
}

/** Roughly what a structure takes in memory, in bytes, from a look at its first values. */
export function sizeOf(value: unknown): number {
  let left = 64
  const measure = (one: unknown): number => {
    left--
    if (typeof one === "string") return 16 + one.length
    if (typeof one !== "object" || one === null) return 8
    if (left <= 0) return 64
    if (Array.isArray(one)) return scaled(one.length, one)
    if (one instanceof Map) return scaled(one.size * 2, flat(one))
    if (one instanceof Set) return scaled(one.size, one)
    if (ArrayBuffer.isView(one)) return 64 + one.byteLength
    let bytes = 32
    for (const key in one) bytes += 8 + measure((one as Record<string, unknown>)[key])
    return bytes
  }
  /** As if those not looked at were as large as those that were. */
  const scaled = (length: number, items: Iterable<unknown>): number => {
    let seen = 0
    let bytes = 0
    for (const item of items) {
      if (left <= 0) break
      bytes += measure(item)
      seen++
    }
    return 32 + (seen === 0 ? length * 64 : Math.ceil((bytes / seen) * length))
  }
  return measure(value)
}

function* flat(map: ReadonlyMap<unknown, unknown>): Iterable<unknown> {
  for (const [key, value] of map) {
    yield key
    yield value
  }
}
