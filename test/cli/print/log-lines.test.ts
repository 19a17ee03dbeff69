import { expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import {
  LinePrinter,
  LogFrames,
  matches,
  parseContext,
  type ShownLine,
  WholeLines
} from "#cli/print/log-lines.ts"

const aLine = (text: string): ShownLine => ({
  service: "web",
  task: "4i7n5x6wlpdd2m9fzq0k3hbty",
  name: "web.1.4i7n5x6wlpdd",
  node: "alpha",
  stream: "stdout",
  time: "2026-11-26T08:20:53.123456789Z",
  text
})
const found = (text: string, search: Partial<Parameters<typeof matches>[2]>): boolean =>
  matches(aLine(text), "n0de", { fields: [], ...search })

test("lines are found by text, by expression, and by fields of JSON, all of which must hold", () => {
  expect(found("GET /a 200", { grep: "/a" })).toBe(true)
  expect(found("GET /a 200", { grep: "/b" })).toBe(false)
  expect(found("GET /a 503", { grep: "/a", regex: /5\d\d$/u })).toBe(true)
  expect(found("GET /a 200", { grep: "/a", regex: /5\d\d$/u })).toBe(false)
  const json = '{"level":"warn","http":{"status":503},"a.b":"x"}'
  expect(
    found(json, {
      fields: [
        ["level", "warn"],
        ["http.status", "503"]
      ]
    })
  ).toBe(true)
  expect(
    found(json, {
      fields: [
        ["level", "warn"],
        ["http.status", "200"]
      ]
    })
  ).toBe(false)
  expect(found(json, { fields: [["a.b", "x"]] })).toBe(true)
  expect(found(json, { fields: [["http.status.deeper", "503"]] })).toBe(false)
  expect(found("level=warn", { fields: [["level", "warn"]] })).toBe(false)
  expect(found("{half", { fields: [["level", "warn"]] })).toBe(false)
})

test("tasks and nodes are meant by name, or by the beginning of their ids", () => {
  expect(found("x", { task: "web.1" })).toBe(true)
  expect(found("x", { task: "4i7n" })).toBe(true)
  expect(found("x", { task: "web" })).toBe(true)
  expect(found("x", { task: "web.1.4i7" })).toBe(true)
  expect(found("x", { task: "web.1.4i7n5x6wlpdd2m9fzq0k3hbty" })).toBe(true)
  expect(found("x", { task: "web.2" })).toBe(false)
  expect(found("x", { task: "we" })).toBe(false)
  expect(matches({ ...aLine("x"), name: "web.10.4i7n5x6wlpdd" }, "n0de", { fields: [], task: "web.1" })).toBe(
    false
  )
  expect(found("x", { node: "alpha" })).toBe(true)
  expect(found("x", { node: "n0" })).toBe(true)
  expect(found("x", { node: "alp" })).toBe(false)
})

test("frames and bare lines are cut wherever the chunks are", () => {
  const frame = (stream: number, text: string) => {
    const head = Buffer.from([stream, 0, 0, 0, 0, 0, 0, Buffer.byteLength(text)])
    return Buffer.concat([head, Buffer.from(text)])
  }
  const framed = Buffer.concat([frame(1, "é\n"), frame(2, "b\n"), frame(3, "why")])
  const bare = Buffer.from("é\r\nb\n")
  for (let at = 0; at <= framed.length; at++) {
    const frames = new LogFrames(true)
    expect([...frames.push(framed.subarray(0, at)), ...frames.push(framed.subarray(at))]).toEqual([
      ["stdout", "é"],
      ["stderr", "b"],
      ["system", "why"]
    ])
  }
  for (let at = 0; at <= bare.length; at++) {
    const lines = new LogFrames(false)
    expect([...lines.push(bare.subarray(0, at)), ...lines.push(bare.subarray(at))]).toEqual([
      ["stdout", "é"],
      ["stdout", "b"]
    ])
  }
})

test("a message without an end is told apart from a line", () => {
  const frames = new LogFrames(true)
  const frame = (text: string) =>
    Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)])
  expect(frames.push(Buffer.concat([frame("a"), frame("b\n")]))).toEqual([
    ["stdout", "a", true],
    ["stdout", "b"]
  ])
})

test("a long line is made whole of its pieces, whatever comes in between, and a last word needs no end", () => {
  const lines = new WholeLines<ShownLine>()
  const piece = "é".repeat(8 * 1024)
  const other = { ...aLine("other"), task: "other" }
  const error = { ...aLine("error"), stream: "stderr" } as const
  expect(lines.take(aLine(piece), true)).toBeUndefined()
  expect(lines.take(other, false)).toEqual(other)
  expect(lines.take(error, false)).toEqual(error)
  expect(lines.take({ ...aLine(piece), time: "later" }, true)).toBeUndefined()
  expect(lines.take({ ...aLine("end"), time: "later" }, false)).toEqual(aLine(`${piece}${piece}end`))
  expect(lines.take(aLine("$ "), true)).toEqual(aLine("$ "))
  lines.take(aLine(piece), true)
  expect(lines.end()).toEqual([aLine(piece)])
  let pieces = 0
  while (lines.take(aLine("x".repeat(16 * 1024)), true) === undefined) pieces += 1
  expect(pieces).toBe(63)
})

test("time, node and task are read before the line, which may be empty or have blanks", () => {
  const details = "a=b,com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t"
  expect(parseContext(`T ${details}  two words `)).toEqual({
    time: "T",
    node: "n",
    task: "t",
    text: " two words "
  })
  expect(parseContext(`T ${details} `)?.text).toBe("")
  expect(parseContext("just text")).toBeUndefined()
})

test("each task has its colour, and stays as wide as the widest", () => {
  const plain = new LinePrinter(false)
  expect(plain.print(aLine("x"), false)).toBe("web.1.4i7n5x6wlpdd@alpha | x")
  expect(plain.print({ ...aLine("x"), name: "w" }, false)).toBe("w@alpha                  | x")
  const coloured = new LinePrinter(true)
  const first = coloured.print(aLine("x"), false)
  expect(coloured.print(aLine("x"), false)).toBe(first)
  expect(coloured.print({ ...aLine("x"), task: "other" }, false)).not.toBe(first)
})
