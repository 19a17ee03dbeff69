/** What a page may ask of a console and say to it. */
import { expect, test } from "bun:test"
import { asTyped, readConsoleQuery, readPageWords } from "#actors/gateway/dashboard/console-words.ts"
import { isRefusal } from "#actors/gateway/response.ts"

const asked = (query: string) => {
  const read = readConsoleQuery(new URLSearchParams(query))
  return isRefusal(read) ? read.message : read
}

test("a console is a shell of 80 by 24 unless the page says otherwise", () => {
  expect(asked("")).toEqual({ command: ["/bin/sh"], size: { columns: 80, rows: 24 } })
  expect(asked("command=ls&command=a%20b&command=&columns=1000&rows=1")).toEqual({
    command: ["ls", "a b", ""],
    size: { columns: 1000, rows: 1 }
  })
})

test("what is no command and no size is refused, by its name and what is expected", () => {
  expect(asked("command=")).toBe('command "": expected a program and its arguments')
  expect(asked(`command=${"x".repeat(4_097)}`)).toBe("command: expected 4096 characters at most, got 4097")
  for (const text of ["0", "1001", "-1", "1e2", "", "24.5"])
    expect(asked(`rows=${text}`)).toBe(`rows "${text}": expected 1 to 1000`)
  expect(asked("columns=x")).toBe('columns "x": expected 1 to 1000')
})

test("of a page's text only counts and sizes are understood", () => {
  expect(readPageWords('{"taken":5}')).toEqual({ taken: 5 })
  expect(readPageWords('{"columns":80,"rows":24}')).toEqual({ columns: 80, rows: 24 })
  for (const text of [
    "",
    "[]",
    "null",
    '{"taken":-1}',
    '{"taken":"5"}',
    '{"columns":0,"rows":24}',
    '{"rows":2}'
  ])
    expect([text, readPageWords(text)]).toEqual([text, undefined])
})

test("a command is written as a shell would read it back", () => {
  expect(asTyped(["/bin/sh", "-c", "echo $0", "it's", ""])).toBe("/bin/sh -c 'echo $0' 'it'\\''s' ''")
})
