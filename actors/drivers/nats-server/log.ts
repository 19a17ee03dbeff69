/** What a nats-server writes into its log from a moment on. */
import { Buffer } from "node:buffer"
import { closeSync, openSync, readSync, statSync } from "node:fs"

/** Reads on from where the log ended when this was made; one that was begun anew meanwhile, from its beginning. */
export class ServerLog {
  readonly #path: string
  #at: number

  constructor(path: string) {
    this.#path = path
    this.#at = sizeOf(path)
  }

  /** What is new since it was read last. */
  read(): string {
    const size = sizeOf(this.#path)
    if (size < this.#at) this.#at = 0
    if (size === this.#at) return ""
    const bytes = Buffer.alloc(size - this.#at)
    const file = openSync(this.#path, "r")
    try {
      this.#at += readSync(file, bytes, 0, bytes.length, this.#at)
    } finally {
      closeSync(file)
    }
    return bytes.toString()
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0
