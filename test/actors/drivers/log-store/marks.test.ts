import { expect, test } from "bun:test"
import fc from "fast-check"
import type { LogLine } from "#actors/drivers/executor.ts"
import { Progress, resumeFrom } from "#actors/drivers/log-store/marks.ts"
import { aLine } from "#test/support/log-lines.ts"

const takeNew = (progress: Progress, lines: ReadonlyArray<LogLine>) =>
  lines.filter((line) => progress.isNew(line))

test("what is read again after a break is left out, wherever the break was and however far back it begins again", () => {
  const script = fc.array(
    // Several lines may share a time, as the pieces of a long one do; the streams are stamped apart.
    fc.record({ stream: fc.constantFrom("stdout" as const, "stderr" as const), step: fc.nat(2) }),
    { maxLength: 60 }
  )
  fc.assert(
    fc.property(script, fc.nat(), fc.nat(), (steps, breakAt, back) => {
      const clock = { stdout: 1, stderr: 1 }
      const lines = steps.map(({ stream, step }, at) => {
        clock[stream] += step / 10
        return aLine(`${at}`, clock[stream], stream)
      })
      const stop = lines.length === 0 ? 0 : breakAt % lines.length
      const first = new Progress({})
      const before = takeNew(first, lines.slice(0, stop))
      // It begins again at some line that was read, with all lines of that time or later, of either stream.
      const unread = lines.slice(stop).map(({ timestamp }) => timestamp)
      const chosen = lines[stop === 0 ? 0 : back % stop]?.timestamp ?? ""
      const earliest = [chosen, ...unread].sort()[0] ?? ""
      const again = new Progress(first.marks)
      const after = takeNew(
        again,
        lines.filter(({ timestamp }) => timestamp >= earliest)
      )
      const complete = [...before, ...after]
      expect(complete.length).toBe(lines.length)
      expect(new Set(complete).size).toBe(lines.length)
      expect(again.marks).toEqual(new Progress(takeAll(lines)).marks)
    }),
    { seed: 11, numRuns: 400 }
  )
})

const takeAll = (lines: ReadonlyArray<LogLine>) => {
  const progress = new Progress({})
  takeNew(progress, lines)
  return progress.marks
}

test("reading goes on a second before the newest line, from the beginning where nothing is known", () => {
  expect(resumeFrom({})).toBe(0)
  expect(resumeFrom({ stderr: { time: "2026-11-26T08:20:53.900000000Z", count: 1 } })).toBe(
    Date.parse("2026-11-26T08:20:52Z") / 1000
  )
})

test("a line is reached when it, or a later one of its stream, was read", () => {
  const progress = new Progress({})
  progress.isNew(aLine("a", 5))
  expect(progress.hasReached(aLine("a", 5))).toBe(true)
  expect(progress.hasReached(aLine("a", 4))).toBe(true)
  expect(progress.hasReached(aLine("b", 6))).toBe(false)
  expect(progress.hasReached(aLine("b", 4, "stderr"))).toBe(false)
})
