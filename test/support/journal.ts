/** The smallest state machine: it remembers every entry as text, and can be asked to fail. */
import type { StateMachine } from "#actors/raft/protocol.ts"

export class Journal implements StateMachine {
  lines: Array<{ readonly index: number; readonly text: string }> = []
  /** Entries with this text halt the member. */
  poison: string | undefined
  restored = 0

  readonly apply = (index: number, data: Uint8Array): unknown => {
    const text = new TextDecoder().decode(data)
    if (text === this.poison) throw new Error(`nobody knows what "${text}" means`)
    this.lines.push({ index, text })
    return this.lines.length
  }

  readonly snapshot = (): Iterable<Uint8Array> => {
    const frozen = this.lines
    this.lines = [...frozen]
    return (function* () {
      for (const line of frozen) yield new TextEncoder().encode(JSON.stringify(line))
    })()
  }

  readonly restore = (chunks: Iterable<Uint8Array>): void => {
    this.restored++
    this.lines = []
    for (const chunk of chunks) this.lines.push(JSON.parse(new TextDecoder().decode(chunk)))
  }

  get texts(): ReadonlyArray<string> {
    return this.lines.map(({ text }) => text)
  }
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
