import { afterAll, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import type { LogLine } from "#actors/drivers/executor.ts"
import { LogReader, LogWriter, logPath } from "#actors/drivers/process/log-file.ts"

const base = mkdtempSync(join(tmpdir(), "troupe-log-"))
afterAll(() => rmSync(base, { recursive: true, force: true }))
const fresh = (): string => mkdtempSync(join(base, "log-"))

const read = (folder: string, cut = 7): Array<LogLine> => {
  const reader = new LogReader()
  const bytes = readFileSync(logPath(folder, 0))
  const lines: Array<LogLine> = []
  for (let at = 0; at < bytes.length; at += cut) lines.push(...reader.push(bytes.subarray(at, at + cut)))
  return lines
}

test("every byte of both outputs comes back, in order, with ever later times", () => {
  const chunk = fc.record({
    stream: fc.constantFrom("stdout" as const, "stderr" as const),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom("a\n", "\n", "no newline", "x\r\ny").map((text) => new TextEncoder().encode(text))
    )
  })
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 20 }), (chunks) => {
      const folder = fresh()
      const writer = new LogWriter(folder, { maxBytes: 1e9, maxFiles: 1 })
      for (const { stream, bytes } of chunks) writer.write(stream, Buffer.from(bytes))
      writer.end()
      const lines = read(folder)
      for (const stream of ["stdout", "stderr"] as const) {
        const written = Buffer.concat(
          chunks.filter((part) => part.stream === stream).map(({ bytes }) => bytes)
        )
        const back = Buffer.concat(lines.filter((line) => line.stream === stream).map(({ line }) => line))
        expect(back.equals(written)).toBe(true)
      }
      const times = lines.map(({ timestamp }) => timestamp)
      expect(new Set(times).size).toBe(times.length)
      expect(times).toEqual([...times].sort())
    }),
    { numRuns: 50 }
  )
})

test("a line longer than 16 KiB comes in pieces", () => {
  const folder = fresh()
  const writer = new LogWriter(folder, { maxBytes: 1e9, maxFiles: 1 })
  for (let part = 0; part < 5; part++) writer.write("stdout", Buffer.alloc(8 * 1024, "x"))
  writer.write("stdout", Buffer.from("\n"))
  writer.end()
  expect(read(folder, 4096).map(({ line }) => line.length)).toEqual([16 * 1024, 16 * 1024, 8 * 1024 + 1])
})

test("files are turned over when they are full, and only so many are kept", () => {
  const folder = fresh()
  const limits = { maxBytes: 1000, maxFiles: 3 }
  const writer = new LogWriter(folder, limits)
  for (let index = 0; index < 200; index++) writer.write("stdout", Buffer.from(`line ${index}\n`))
  writer.end()
  expect(existsSync(logPath(folder, 2))).toBe(true)
  expect(existsSync(logPath(folder, 3))).toBe(false)
  for (const age of [0, 1, 2]) expect(statSync(logPath(folder, age)).size).toBeLessThanOrEqual(1000)
  expect(readFileSync(logPath(folder, 0), "utf8")).toContain("line 199\n")
})

test("a shim that is started again goes on at the end of the file", () => {
  const folder = fresh()
  for (const word of ["one", "two"]) {
    const writer = new LogWriter(folder, { maxBytes: 1e6, maxFiles: 2 })
    writer.write("stdout", Buffer.from(`${word}\n`))
    writer.end()
  }
  expect(read(folder).map(({ line }) => Buffer.from(line).toString())).toEqual(["one\n", "two\n"])
})
