import { expect, test } from "bun:test"
import { steadyClock } from "#runtime/steady-clock.ts"

test("a clock that is set back goes on at half its speed until it is right again, one set ahead is followed at once", () => {
  let [wall, monotonic] = [1_000_000, 5]
  const now = steadyClock(
    () => wall,
    () => monotonic
  )
  const pass = (ms: number): number => {
    wall += ms
    monotonic += ms
    return now()
  }
  expect([now(), pass(10), pass(0.5), pass(0.5)]).toEqual([1_000_000, 1_000_010, 1_000_010, 1_000_011])
  wall -= 1_000
  expect([now(), pass(100), pass(1), pass(1)]).toEqual([1_000_011, 1_000_061, 1_000_061, 1_000_062])
  // Right again after twice of what it was set back.
  expect([pass(1_898), wall]).toEqual([1_001_011, 1_001_011])
  expect(pass(50)).toBe(1_001_061)
  wall += 3_600_000
  expect(now()).toBe(wall)
})
