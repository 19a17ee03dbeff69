import { expect, test } from "bun:test"
import { choose, type Remembered, toTimestamp } from "#actors/logs/choose.ts"
import type { LogRequest } from "#actors/logs/protocol.ts"

const request: LogRequest = { stdout: true, stderr: true, follow: false, details: false, since: 0, until: 0 }
const whole = { isComplete: true, lines: 100, oldest: "2026-11-26T08:00:00.000000000Z" }
const known = (state: Remembered["state"], log: Partial<Remembered["log"]> = {}): Remembered => ({
  state,
  log: { ...whole, ...log }
})

test("what came to its end is read in the memory; what still comes once the memory has caught up", () => {
  expect(choose(known("ended"), request)).toBe("memory")
  expect(choose(known("following"), { ...request, follow: true })).toBe("memory after the Engine")
})

test("what is not known, or not known to go on, is asked of the Engine", () => {
  expect(choose(undefined, request)).toBe("engine")
  expect(choose(known("idle"), request)).toBe("engine")
})

test("a memory that lost the beginning serves what it has all of", () => {
  const cut = known("ended", { isComplete: false })
  expect(choose(cut, request)).toBe("engine")
  expect(choose(cut, { ...request, tail: 100 })).toBe("memory")
  expect(choose(cut, { ...request, tail: 101 })).toBe("engine")
  const oldest = Date.parse(whole.oldest) / 1000
  expect(choose(cut, { ...request, since: oldest })).toBe("memory")
  expect(choose(cut, { ...request, since: oldest - 1 })).toBe("engine")
})

test("seconds become times as lines carry them", () => {
  expect(toTimestamp(1795681253.5)).toBe("2026-11-26T08:20:53.500000000Z")
  expect(toTimestamp(0.0000005)).toBe("1970-01-01T00:00:00.000000500Z")
})
