import { expect, test } from "bun:test"
import { mtuOf, mtuOption } from "#actors/network/plan.ts"

test("packets are as large as an overlay's wrapping leaves room for, or as its option says", () => {
  expect(mtuOf({})).toBe(1450)
  expect(mtuOf({ encrypted: "" })).toBe(1370)
  expect(mtuOf({ [mtuOption]: "1400" })).toBe(1400)
  for (const unread of ["", "0", "-1", "1.5", "large"]) expect(mtuOf({ [mtuOption]: unread })).toBe(1450)
})
