/**
 * A number that two structures have in common when they say the same, for comparing what a decision came to.
 *
 * It looks at the first values only, in a fixed order: a decision over a large table must not pay for the whole table
 * each time. Fields that are `undefined` count as absent, as in JSON.
 */

/** What is not looked into. */
export interface Unseen {
  /** Objects that many actors share, such as a table they all read. */
  readonly shared: ReadonlySet<unknown>
  /** Names of fields that hold secrets. */
  readonly secret: ReadonlySet<string>
}

const values = 256
const characters = 64

/** 32 bits over the first 256 values of each structure, and how many values those were. */
export interface Fingerprint {
  readonly hash: number
  readonly seen: number
}

export function fingerprint(unseen: Unseen, ...structures: ReadonlyArray<unknown>): Fingerprint {
  const walk = new Walk(unseen)
  let seen = 0
  for (const structure of structures) {
    walk.left = values
    walk.visit(structure)
    seen += values - Math.max(0, walk.left)
  }
  return { hash: walk.hash >>> 0, seen }
}

class Walk {
  // FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/
  hash = 0x811c9dc5 | 0
  left = values
  readonly #unseen: Unseen

  constructor(unseen: Unseen) {
    this.#unseen = unseen
  }

  visit(value: unknown): void {
    if (this.left-- <= 0) return
    switch (typeof value) {
      case "string":
        this.#text(value)
        return
      case "number":
        this.#number(value)
        return
      case "object":
        if (value === null) this.#mix(1)
        else if (this.#unseen.shared.has(value)) this.#mix(2)
        else this.#structure(value)
        return
      case "boolean":
        this.#mix(value ? 3 : 4)
        return
      case "bigint":
        this.#text(value.toString())
        return
      default:
        this.#mix(5)
    }
  }

  #structure(value: object): void {
    if (Array.isArray(value)) {
      this.#mix(value.length)
      for (let i = 0; i < value.length && this.left > 0; i++) this.visit(value[i])
    } else if (value instanceof Map) {
      this.#mix(value.size)
      for (const [key, one] of value) {
        if (this.left <= 0) return
        this.visit(key)
        this.visit(one)
      }
    } else if (value instanceof Set) {
      this.#mix(value.size)
      for (const one of value) {
        if (this.left <= 0) return
        this.visit(one)
      }
    } else if (ArrayBuffer.isView(value)) this.#mix(value.byteLength)
    else this.#fields(value as Readonly<Record<string, unknown>>)
  }

  #fields(value: Readonly<Record<string, unknown>>): void {
    this.#mix(6)
    for (const key in value) {
      if (this.left <= 0) return
      const one = value[key]
      if (one === undefined || this.#unseen.secret.has(key)) continue
      this.#text(key)
      this.visit(one)
    }
  }

  #text(text: string): void {
    const { length } = text
    let hash = Math.imul(this.hash ^ length, 0x01000193)
    const end = Math.min(length, characters)
    for (let i = 0; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    this.hash = hash
  }

  #number(value: number): void {
    this.#mix(value | 0)
    // Times of day and fractions do not fit into 32 bits.
    if ((value | 0) !== value) this.#text(String(value))
  }

  #mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193)
  }
}
