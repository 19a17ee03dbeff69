import { expect, test } from "bun:test"
import { checkDrain, drainMs } from "#actors/model/drain.ts"

test("how long a task that leaves is left alone is said by a label of its service", () => {
  const label = (text: string) => ({ "troupe.drain.timeout": text })
  expect(drainMs(undefined)).toBe(5_000)
  expect(drainMs(label("0"))).toBe(0)
  expect(drainMs(label("1m30s"))).toBe(90_000)
  expect(checkDrain({ Labels: label("250ms") })).toBeUndefined()
  for (const text of ["", "5", "-1s", "soon", "2h"]) {
    expect(checkDrain({ Labels: label(text) })).toBe(
      `label troupe.drain.timeout ${JSON.stringify(text)}: expected a duration from 0s to 1h, like "5s"`
    )
  }
})
