/**
 * Identifiers as Docker prints them, and all other chance a decision may use, from a seedable source.
 *
 * A `Fresh` is xoshiro128** (Blackman & Vigna 2018): its 128-bit state is an input like any other, so a
 * recorded decision can be replayed. It is not for secrets; drivers make those with the machine's own source.
 */

export type FreshState = readonly [number, number, number, number]

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

const rotateLeft = (x: number, k: number): number => (x << k) | (x >>> (32 - k))

export class Fresh {
  #a: number
  #b: number
  #c: number
  #d: number
  #state: FreshState | undefined

  constructor(state: FreshState) {
    this.#a = state[0] | 0
    this.#b = state[1] | 0
    this.#c = state[2] | 0
    this.#d = state[3] | 0
    // All zero is the one state the generator never leaves.
    if ((this.#a | this.#b | this.#c | this.#d) === 0) this.#a = 0x9e3779b9 | 0
  }

  /** A source for tests and simulations: splitmix32 spreads one number over the whole state. */
  static from(seed: number): Fresh {
    let x = seed | 0
    const next = (): number => {
      x = (x + 0x9e3779b9) | 0
      let z = x
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      return z ^ (z >>> 15)
    }
    return new Fresh([next(), next(), next(), next()])
  }

  /** What this source is about to say, to be kept beside a recorded message. */
  state(): FreshState {
    this.#state ??= [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#d >>> 0]
    return this.#state
  }

  /** An integer from 0 up to 2³² − 1. */
  uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9)
    const t = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= t
    this.#d = rotateLeft(this.#d, 11)
    this.#state = undefined
    return result >>> 0
  }

  /** A number from 0 up to, but not including, 1. */
  fraction(): number {
    return this.uint32() / 2 ** 32
  }

  /** An integer from 0 up to, but not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit)
  }

  /** 25 characters of base 36, as Swarm's object ids are. */
  id(): string {
    let text = ""
    for (let i = 0; i < 25; i++) text += alphabet[this.uint32() % 36]
    return text
  }

  /** An independent source. */
  fork(): Fresh {
    return new Fresh([this.uint32(), this.uint32(), this.uint32(), this.uint32()])
  }
}
