/** What the observer knows of logs: each entry with everything before it is one `Line`, the same object everywhere. */
import { crc32 } from "node:zlib"
import { type Configuration, decodeConfiguration } from "#actors/raft/core/configuration.ts"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { Broken } from "#test/simulation/raft/broken.ts"

export interface Line {
  readonly index: number
  readonly term: number
  readonly type: number
  readonly data: Uint8Array
  readonly checksum: number
  readonly before: Line | undefined
  /** What it brings, if it is a configuration. */
  readonly configuration: Configuration | undefined
}

/** Logs as arrays: the line of index `i` is at `i - 1`. */
export type Lines = ReadonlyArray<Line>

export class AllLines {
  readonly #known = new Map<number, Line>()

  /** I3: the same index and term mean the same entry, and the same everything before it. */
  line(entry: Entry, before: Line | undefined): Line {
    const name = entry.term * 2 ** 26 + entry.index
    const known = this.#known.get(name)
    const checksum = crc32(entry.data)
    if (known !== undefined) {
      if (known.before !== before || known.type !== entry.type || known.checksum !== checksum) {
        throw new Broken(
          "I3",
          `entry ${entry.index} of term ${entry.term} is there twice, with ${show(known)} and with other contents or another past`
        )
      }
      return known
    }
    if ((before?.index ?? 0) !== entry.index - 1) {
      throw new Broken("I3", `entry ${entry.index} follows entry ${before?.index ?? 0}`)
    }
    const line: Line = {
      index: entry.index,
      term: entry.term,
      type: entry.type,
      data: entry.data,
      checksum,
      before,
      configuration: entry.type === entryType.config ? decodeConfiguration(entry.data) : undefined
    }
    this.#known.set(name, line)
    return line
  }
}

export const show = ({ index, term, type }: Line): string => `${index}/${term} of type ${type}`
