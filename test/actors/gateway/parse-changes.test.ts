import { expect, test } from "bun:test"
import { parseChanges } from "#actors/gateway/parse-changes.ts"

const now = Date.parse("2026-01-01T01:00:00Z")
const read = (query: string, lastSeen?: string) => parseChanges(new URLSearchParams(query), lastSeen, now)

test("without a word it is the newest hundred of everything, once", () => {
  expect(read("")).toEqual({ tasks: false, follow: false, limit: 100 })
})

test("what is asked for is read, and the place where a stream broke off before the one it began at", () => {
  expect(read("kind=service&tasks=1&follow=1&since=15m&until=5m&after=812.1&limit=7")).toEqual({
    kind: "service",
    tasks: true,
    follow: true,
    sinceMs: now - 900_000,
    untilMs: now - 300_000,
    after: { index: 812, position: 1 },
    limit: 7
  })
  expect(read("after=812.1", "900.0")).toMatchObject({ after: { index: 900, position: 0 } })
})

test.each([
  ["kind=thing", "invalid kind thing: expected service, task"],
  ["since=soon", "invalid since soon: expected 15m"],
  ["until=soon", "invalid until soon: expected 15m"],
  ["after=last", "invalid after last: expected the Sequence of a change, such as 812.1"],
  ["limit=0", "invalid limit 0: expected 1 to 1000"],
  ["limit=1001", "invalid limit 1001: expected 1 to 1000"],
  ["limit=ten", "invalid limit ten: expected 1 to 1000"]
])("%s is refused", (query, text) => {
  expect(read(query)).toMatchObject({ code: "invalidArgument", message: expect.stringContaining(text) })
})
