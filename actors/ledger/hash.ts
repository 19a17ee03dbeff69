/**
 * Hashes for the ledger: of an id, to find its row, and of any object, to compare the states of two members.
 *
 * Two lanes of 32 bits in integer arithmetic, so that every runtime and machine gets the same; an object's hash does
 * not depend on the order of its keys, a state's not on the order of its objects. It finds divergence, not forgery.
 */
import { BrokenInvariant } from "#runtime/assert.ts"

/** Knuth's multiplier and one of xxHash's: odd, and their bits are spread. */
const primeA = 0x9e3779b1
const primeB = 0x85ebca77
const seedA = 0x243f6a88
const seedB = 0x13198a2e

/** MurmurHash3's finaliser: every bit of the result depends on every bit of `x`. */
function finish(x: number): number {
  let y = x ^ (x >>> 16)
  y = Math.imul(y, 0x85ebca6b)
  y ^= y >>> 13
  y = Math.imul(y, 0xc2b2ae35)
  return y ^ (y >>> 16)
}

/** 32 bits of an id, for tables of rows. */
export function hashId(id: string): number {
  let x = id.length
  for (let i = 0; i < id.length; i++) x = Math.imul(x ^ id.charCodeAt(i), primeA)
  return finish(x)
}

/** The same of an id whose characters are bytes. */
export function hashIdBytes(bytes: Uint8Array, start: number, length: number): number {
  let x = length
  for (let i = start; i < start + length; i++) x = Math.imul(x ^ (bytes[i] as number), primeA)
  return finish(x)
}

/** 32 bits of two integers, for tables of rows. */
export const hashPair = (left: number, right: number): number =>
  finish(Math.imul(Math.imul(left, primeA) ^ right, primeB))

// The lanes of the value that is being walked. They are variables of the module because a pair per value is what
// most of the time would go to.
let a = 0
let b = 0

function add(word: number): void {
  a = Math.imul(a ^ word, primeA)
  a ^= a >>> 15
  b = Math.imul(b ^ word, primeB)
  b ^= b >>> 13
}

function addText(text: string): void {
  add(text.length)
  let x = a
  let y = b
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    x = Math.imul(x ^ code, primeA)
    y = Math.imul(y ^ code, primeB)
    y ^= y >>> 13
  }
  a = x ^ (x >>> 15)
  b = y
}

function addNumber(value: number): void {
  add(2)
  add(value | 0)
  add(Math.floor(value / 2 ** 32) | 0)
}

function addObject(count: number, sumA: number, sumB: number): void {
  add(8)
  add(count)
  add(sumA)
  add(sumB)
}

function walk(value: unknown): void {
  switch (typeof value) {
    case "string":
      add(1)
      addText(value)
      return
    case "number":
      if (Number.isSafeInteger(value)) addNumber(value)
      else {
        // How a number is written is fixed by the language.
        add(3)
        addText(String(value))
      }
      return
    case "boolean":
      add(value ? 4 : 5)
      return
    case "object":
      if (value === null) add(6)
      else if (Array.isArray(value)) {
        add(7)
        add(value.length)
        for (const item of value) walk(item)
      } else walkObject(value as Readonly<Record<string, unknown>>)
      return
    default:
      throw new BrokenInvariant(`A ${typeof value} cannot be part of the ledger`)
  }
}

function walkObject(object: Readonly<Record<string, unknown>>): void {
  const outerA = a
  const outerB = b
  let sumA = 0
  let sumB = 0
  let count = 0
  for (const key in object) {
    const value = object[key]
    // Absent and undefined are the same: neither survives the log.
    if (value === undefined) continue
    a = seedA
    b = seedB
    addText(key)
    walk(value)
    sumA = (sumA + finish(a)) | 0
    sumB = (sumB + finish(b)) | 0
    count++
  }
  a = outerA
  b = outerB
  addObject(count, sumA, sumB)
}

/** A sum of hashes, from which what was added can be taken away again in any order. */
export class HashSum {
  a = 0
  b = 0

  clear(): void {
    this.a = 0
    this.b = 0
  }

  add(hash: Hash): void {
    this.a = (this.a + hash.a) | 0
    this.b = (this.b + hash.b) | 0
  }

  subtract(hash: Hash): void {
    this.a = (this.a - hash.a) | 0
    this.b = (this.b - hash.b) | 0
  }
}

export interface Hash {
  a: number
  b: number
}

/** Writes the hash of `value`, anything that JSON can say, into `into`, and returns that. */
export function hashInto(into: Hash, value: unknown): Hash {
  a = seedA
  b = seedB
  walk(value)
  into.a = finish(a)
  into.b = finish(b)
  return into
}

/**
 * The same hash of what is not made into a value first: a property is begun at the lanes of its key, told piece by piece as
 * `walk` would come by them, and its end added to the sum of its object.
 */
export const piecewise = {
  /** The lanes of a value by itself. */
  root: { a: seedA, b: seedB } as Hash,
  /** The lanes that a property's value begins at. */
  ofKey: (key: string): Hash => {
    a = seedA
    b = seedB
    addText(key)
    return { a, b }
  },
  begin: (lanes: Hash): void => {
    a = lanes.a
    b = lanes.b
  },
  value: walk,
  number: addNumber,
  /** A text, of which each byte is a character. */
  latin1: (bytes: Uint8Array, start: number, length: number): void => {
    add(1)
    add(length)
    let x = a
    let y = b
    for (let i = start; i < start + length; i++) {
      const code = bytes[i] as number
      x = Math.imul(x ^ code, primeA)
      y = Math.imul(y ^ code, primeB)
      y ^= y >>> 13
    }
    a = x ^ (x >>> 15)
    b = y
  },
  list: (length: number): void => {
    add(7)
    add(length)
  },
  /** An object of `count` properties. */
  object: (count: number, sum: Hash): void => addObject(count, sum.a, sum.b),
  end: (into: Hash): void => {
    into.a = finish(a)
    into.b = finish(b)
  },
  endInto: (sum: Hash): void => {
    sum.a = (sum.a + finish(a)) | 0
    sum.b = (sum.b + finish(b)) | 0
  }
}

export const showHash = ({ a: left, b: right }: Hash): string =>
  (left >>> 0).toString(16).padStart(8, "0") + (right >>> 0).toString(16).padStart(8, "0")
