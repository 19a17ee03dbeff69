/** What travels with a message: the trace context of one that follows from another. */
import { expect, test } from "bun:test"
import { childSpan } from "#runtime/envelope.ts"
import { Fresh } from "#runtime/ids.ts"

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
const parent = `00-${trace}-00f067aa0ba902b7-01`
const chance = (): (() => number) => {
  const fresh = Fresh.from(7)
  return () => fresh.fraction()
}

test("a child span keeps trace and flags, has an id of its own, and the same chance gives the same id", () => {
  const random = chance()
  const [first, second] = [childSpan(parent, random), childSpan(parent, random)]
  for (const span of [first, second]) expect(span).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`))
  expect(new Set([parent, first, second]).size).toBe(3)
  expect(childSpan(parent, chance())).toBe(first)
})

test("a span id is never all zero, which would mean that there is none", () => {
  expect(childSpan(parent, () => 0)).toBe(`00-${trace}-0000000000000001-01`)
})

test("a broken context is not handed on; one of a later version is, in ours", () => {
  const broken = [
    undefined,
    "",
    "00-abc-def-01",
    parent.toUpperCase(),
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `ff-${trace}-00f067aa0ba902b7-01`,
    `${parent}-more`
  ]
  for (const each of broken) expect(childSpan(each, chance())).toBeUndefined()
  expect(childSpan(`01-${trace}-00f067aa0ba902b7-00-more`, chance())).toMatch(/^00-.*-00$/)
})
