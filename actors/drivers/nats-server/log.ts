/** What a nats-server writes into its log from a moment on. */
import { Buffer } from "node:buffer"
import { closeSync, openSync, readSync, statSync } from "node:fs"

const newline = 10

/** Reads on from where the log ended when this was made; one that was begun anew meanwhile, from its beginning. */
export class ServerLog {
  readonly #path: string
  #at: number

  constructor(path: string) {
    this.#path = path
    this.#at = sizeOf(path)
  }

  /** What is new since it was read last, but for a last line that is not whole yet. */
  read(): string {
    const bytes = this.#fresh()
    const whole = bytes.subarray(0, bytes.lastIndexOf(newline) + 1)
    this.#at += whole.length
    return whole.toString()
  }

  #fresh(): Buffer {
    const size = sizeOf(this.#path)
    if (size < this.#at) this.#at = 0
    if (size === this.#at) return Buffer.alloc(0)
    const bytes = Buffer.alloc(size - this.#at)
    const file = openSync(this.#path, "r")
    try {
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, this.#at))
    } finally {
      closeSync(file)
    }
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0
