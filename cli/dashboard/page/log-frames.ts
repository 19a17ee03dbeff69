/** The Engine's stream of logs as lines: frames of a byte for which output it is, three of nothing, four of length. */
export interface LogLine {
  readonly isError: boolean
  readonly text: string
}

export function makeLogReader(take: (line: LogLine) => void): (bytes: Uint8Array) => void {
  let rest = new Uint8Array(0)
  const decoder = new TextDecoder()
  return (bytes) => {
    const all = new Uint8Array(rest.length + bytes.length)
    all.set(rest)
    all.set(bytes, rest.length)
    let at = 0
    while (all.length - at >= 8) {
      const length = new DataView(all.buffer, at + 4, 4).getUint32(0)
      if (all.length - at - 8 < length) break
      const text = decoder.decode(all.subarray(at + 8, at + 8 + length)).replace(/\r?\n$/, "")
      take({ isError: all[at] === 2, text })
      at += 8 + length
    }
    rest = all.slice(at)
  }
}
