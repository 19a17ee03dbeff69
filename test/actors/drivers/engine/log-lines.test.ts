import { expect, test } from "bun:test"
import fc from "fast-check"
import { LogLines } from "#actors/drivers/engine/log-lines.ts"

const frame = (stream: 1 | 2, text: string): Buffer => {
  const body = Buffer.from(text)
  const head = Buffer.alloc(8)
  head[0] = stream
  head.writeUInt32BE(body.length, 4)
  return Buffer.concat([head, body])
}
const time = "2026-11-22T21:01:28.912345678Z"
const plain = (
  lines: ReadonlyArray<{ stream: string; timestamp: string; line: Uint8Array; details: string }>
) =>
  lines.map(({ stream, timestamp, line, details }) => [
    stream,
    timestamp,
    Buffer.from(line).toString(),
    details
  ])

test("frames come out whole however the bytes were cut", () => {
  const line = fc.record({
    stream: fc.constantFrom(1 as const, 2 as const),
    text: fc.string({ unit: "binary", maxLength: 30 })
  })
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(200)), (lines, cuts) => {
      const bytes = Buffer.concat(lines.map(({ stream, text }) => frame(stream, `${time} ${text}`)))
      const parser = new LogLines({ tty: false, details: false })
      const out: Array<ReturnType<LogLines["push"]>[number]> = []
      let at = 0
      for (const cut of cuts) {
        out.push(...parser.push(bytes.subarray(at, at + cut)))
        at += cut
      }
      out.push(...parser.push(bytes.subarray(at)), ...parser.end())
      expect(plain(out)).toEqual(
        lines.map(({ stream, text }) => [
          stream === 1 ? "stdout" : "stderr",
          time,
          Buffer.from(text).toString(),
          ""
        ])
      )
    })
  )
})

test("details are what stands between the time and the line, also when there are none", () => {
  const parser = new LogLines({ tty: false, details: true })
  const lines = parser.push(
    Buffer.concat([frame(1, `${time} a=b,c=d hello world\n`), frame(1, `${time}  hello world\n`)])
  )
  expect(plain(lines)).toEqual([
    ["stdout", time, "hello world\n", "a=b,c=d"],
    ["stdout", time, "hello world\n", ""]
  ])
})

test("a terminal's output is cut at newlines, and its last line needs none", () => {
  const parser = new LogLines({ tty: true, details: false })
  expect(plain(parser.push(Buffer.from(`${time} one\r\n${time} t`)))).toEqual([
    ["stdout", time, "one\r\n", ""]
  ])
  expect(parser.push(Buffer.from("wo"))).toEqual([])
  expect(plain(parser.end())).toEqual([["stdout", time, "two", ""]])
})

test("a terminal's long line comes in the pieces that the Engine cut it into, without their times in between", () => {
  for (const details of [false, true]) {
    const begin = details ? `${time} a=b ` : `${time} `
    const piece = "x".repeat(16 * 1024)
    const parser = new LogLines({ tty: true, details })
    const pieces = [piece, `${piece}\ufffd`, `${time} is no time here\r\n`, "short\r\n", piece, "end"]
    const lines = [
      ...parser.push(Buffer.from(pieces.map((one) => `${begin}${one}`).join(""))),
      ...parser.end()
    ]
    expect(plain(lines)).toEqual(pieces.map((one) => ["stdout", time, one, details ? "a=b" : ""]))
  }
})
