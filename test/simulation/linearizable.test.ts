/** The judge of histories, judged: by hand, and against one that tries every order. */
import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { judge, type Operation, parseHistory, writeHistory } from "#test/support/linearizable.ts"

const write = (value: number, start: number, end?: number): Operation => ({
  client: "w",
  key: "x",
  op: "write",
  value,
  start,
  ...(end === undefined ? {} : { end })
})
const read = (result: number, start: number, end: number): Operation => ({
  client: "r",
  key: "x",
  op: "read",
  result,
  start,
  end
})
const cas = (expected: number, value: number, start: number, end?: number, result?: boolean): Operation => ({
  client: "c",
  key: "x",
  op: "cas",
  expected,
  value,
  start,
  ...(end === undefined ? {} : { end }),
  ...(result === undefined ? {} : { result })
})

describe("S3: a history is linearizable", () => {
  const good: ReadonlyArray<readonly [string, ReadonlyArray<Operation>]> = [
    ["when it is empty", []],
    ["when reads follow writes", [write(1, 1, 2), read(1, 3, 4), write(2, 5, 6), read(2, 7, 8)]],
    ["when a read during a write sees either", [write(1, 1, 6), read(0, 2, 3), read(1, 4, 5)]],
    ["when a write without an answer happens late", [write(1, 1), read(0, 2, 3), read(1, 4, 5)]],
    ["when a write without an answer never happens", [write(1, 1), read(0, 2, 3), read(0, 4, 5)]],
    ["when one of two exchanges wins", [cas(0, 1, 1, 5, true), cas(0, 2, 2, 6, false), read(1, 7, 8)]],
    [
      "when an exchange of unknown end explains a value",
      [cas(0, 7, 1), read(7, 2, 3), cas(7, 8, 4, 5, true)]
    ],
    ["when registers differ", [write(1, 1, 2), { ...read(0, 3, 4), key: "y" }]]
  ]
  for (const [title, history] of good) {
    test(title, () => expect(judge(history)).toEqual({ _tag: "Linearizable" }))
  }
})

describe("S3: a history is not linearizable", () => {
  const bad: ReadonlyArray<readonly [string, ReadonlyArray<Operation>]> = [
    ["when a read misses an answered write", [write(1, 1, 2), read(0, 3, 4)]],
    ["when a value comes from nowhere", [read(9, 1, 2)]],
    ["when a read sees a write that comes later", [read(1, 1, 2), write(1, 3, 4)]],
    ["when a second read goes back", [write(1, 1), read(1, 2, 3), read(0, 4, 5)]],
    ["when both of two exchanges win", [cas(0, 1, 1, 5, true), cas(0, 2, 2, 6, true)]],
    ["when an exchange fails for no reason", [cas(0, 1, 1, 2, false)]],
    [
      "when two readers see two orders",
      [write(1, 1, 9), write(2, 2, 10), read(1, 3, 4), read(2, 5, 6), read(1, 7, 8)]
    ],
    ["when a lost write comes back", [write(1, 1, 2), write(2, 3, 4), read(2, 5, 6), read(1, 7, 8)]]
  ]
  for (const [title, history] of bad) {
    test(title, () => expect(judge(history)._tag).toBe("Broken"))
  }

  test("and the judgement names the register and what cannot be explained", () => {
    const judgement = judge([write(1, 1, 2), read(1, 3, 4), read(0, 5, 6)])
    expect(judgement).toEqual({
      _tag: "Broken",
      key: "x",
      longest: [write(1, 1, 2), read(1, 3, 4)],
      stuck: [read(0, 5, 6)]
    })
  })
})

/** Tries all orders of all operations, with and without those of unknown end. */
function bruteForce(history: ReadonlyArray<Operation>): boolean {
  const go = (left: ReadonlyArray<Operation>, value: number): boolean => {
    if (left.every(({ end }) => end === undefined)) return true
    const firstEnd = Math.min(...left.map(({ end }) => end ?? Number.POSITIVE_INFINITY))
    return left.some((operation) => {
      if (operation.start > firstEnd) return false
      const rest = left.filter((other) => other !== operation)
      if (operation.op === "read") return operation.result === value && go(rest, value)
      if (operation.op === "write") return go(rest, operation.value as number)
      const writes = operation.expected === value
      if (operation.result !== undefined && operation.result !== writes) return false
      return go(rest, writes ? (operation.value as number) : value)
    })
  }
  return go(history, 0)
}

/** Up to seven operations whose calls and answers lie anywhere; few values, so that many are possible. */
const histories = fc
  .array(
    fc.record({
      op: fc.constantFrom("read", "write", "cas") as fc.Arbitrary<Operation["op"]>,
      value: fc.integer({ min: 0, max: 2 }),
      expected: fc.integer({ min: 0, max: 2 }),
      answered: fc.integer({ min: 0, max: 4 }),
      wrote: fc.boolean(),
      at: fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 12 }))
    }),
    { maxLength: 7 }
  )
  .map((drawn) =>
    drawn.map(({ op, value, expected, answered, wrote, at }, i): Operation => {
      const start = at[0] + i / 100
      const isOpen = answered === 0 && op !== "read"
      return {
        client: `${i}`,
        key: "x",
        op,
        start,
        ...(op === "read" ? { result: value } : { value }),
        ...(op === "cas" ? { expected, ...(isOpen ? {} : { result: wrote }) } : {}),
        ...(isOpen ? {} : { end: start + at[1] + 0.005 })
      }
    })
  )

test("S3: random histories are judged as by trying every order", () => {
  const verdicts = { good: 0, bad: 0 }
  fc.assert(
    fc.property(histories, (history) => {
      const expected = bruteForce(history)
      if (expected) verdicts.good++
      else verdicts.bad++
      expect(judge(history)._tag === "Linearizable").toBe(expected)
    }),
    { numRuns: 3_000 }
  )
  // The comparison says something only when there are both.
  expect(Math.min(verdicts.good, verdicts.bad)).toBeGreaterThan(300)
})

test("a history is the same after it was written down and read", () => {
  const history = [write(1, 1), read(1, 2, 3), cas(1, 2, 4, 5, true)]
  expect(parseHistory(writeHistory(history))).toEqual(history)
  expect(() => parseHistory('{"key":"x","op":"erase","start":1}\n')).toThrow("Line 1")
})
