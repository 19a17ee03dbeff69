/** The state machine of the simulation: registers, each command once, and a digest that covers all of history. */
import { crc32 } from "node:zlib"
import type { StateMachine } from "#actors/raft/protocol.ts"

/** `cas` writes `value` if the register holds `expected`. */
export interface Command {
  readonly client: string
  readonly seq: number
  readonly key: string
  readonly op: "write" | "cas"
  readonly value: number
  readonly expected: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const encodeCommand = ({ client, seq, key, op, value, expected }: Command): Uint8Array =>
  encoder.encode(`${client}|${seq}|${key}|${op}|${value}|${expected}`)

export function decodeCommand(bytes: Uint8Array): Command {
  const [client = "", seq, key = "", op, value, expected] = decoder.decode(bytes).split("|")
  return {
    client,
    seq: Number(seq),
    key,
    op: op === "cas" ? "cas" : "write",
    value: Number(value),
    expected: Number(expected)
  }
}

/** `repeated`: it had been applied before, and changed nothing. */
export type OnApplied = (index: number, data: Uint8Array, digest: number, repeated: boolean) => void

export class Registers implements StateMachine {
  readonly #values = new Map<string, number>()
  /** What each command answered. */
  readonly results = new Map<string, boolean>()
  #digest = 0
  #index = 0
  readonly #chunkBytes: number
  /** Told of every entry that is applied. */
  readonly #applied: OnApplied

  constructor(chunkBytes: number, applied: OnApplied = () => {}) {
    this.#chunkBytes = chunkBytes
    this.#applied = applied
  }

  get index(): number {
    return this.#index
  }
  get digest(): number {
    return this.#digest
  }
  /** 0 for what was never written. */
  read(key: string): number {
    return this.#values.get(key) ?? 0
  }

  readonly apply = (index: number, data: Uint8Array): boolean => {
    const { client, seq, key, op, value, expected } = decodeCommand(data)
    const name = `${client}/${seq}`
    const before = this.results.get(name)
    const result = before ?? (op === "write" || this.read(key) === expected)
    if (before === undefined) {
      this.results.set(name, result)
      if (result) this.#values.set(key, value)
    }
    this.#index = index
    this.#digest = crc32(data, (this.#digest ^ index ^ (result ? 1 : 2)) >>> 0)
    this.#applied(index, data, this.#digest, before !== undefined)
    return result
  }

  readonly snapshot = (): Iterable<Uint8Array> => {
    const frozen = JSON.stringify({
      index: this.#index,
      digest: this.#digest,
      values: [...this.#values],
      results: [...this.results]
    })
    const size = this.#chunkBytes
    return (function* () {
      for (let at = 0; at < frozen.length; at += size) yield encoder.encode(frozen.slice(at, at + size))
    })()
  }

  readonly restore = (chunks: Iterable<Uint8Array>): void => {
    let text = ""
    for (const chunk of chunks) text += decoder.decode(chunk)
    const { index, digest, values, results } = JSON.parse(text)
    this.#index = index
    this.#digest = digest
    this.#values.clear()
    this.results.clear()
    for (const [key, value] of values) this.#values.set(key, value)
    for (const [name, result] of results) this.results.set(name, result)
  }
}
