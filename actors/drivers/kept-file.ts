/**
 * Small files of the kernel that are read every second: kept open, because opening one costs more than reading it. Only
 * so many are, so that a node with many tasks does not run out of descriptors; the others are opened each time.
 */
import { Buffer } from "node:buffer"
import { closeSync, openSync, readFileSync, readSync } from "node:fs"

const mostOpen = 600
let open = 0
const buffer = Buffer.alloc(16_384)

export class KeptFile {
  readonly #path: string
  #descriptor: number | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** As it is now. Throws when it is gone, and is closed then. */
  read(): string {
    if (this.#descriptor === undefined && open < mostOpen) {
      this.#descriptor = openSync(this.#path, "r")
      open += 1
    }
    if (this.#descriptor === undefined) return readFileSync(this.#path, "latin1")
    try {
      const length = readSync(this.#descriptor, buffer, 0, buffer.length, 0)
      return buffer.toString("latin1", 0, length)
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    if (this.#descriptor === undefined) return
    closeSync(this.#descriptor)
    this.#descriptor = undefined
    open -= 1
  }
}
