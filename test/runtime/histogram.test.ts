import { expect, test } from "bun:test"
import fc from "fast-check"
import { Histogram } from "#runtime/histogram.ts"

const histogramOf = (micros: ReadonlyArray<number>): Histogram => {
  const histogram = new Histogram()
  for (const one of micros) histogram.record(one)
  return histogram
}

test("a quantile is at most a half above the exact one, or a quarter of a microsecond, and never below", () => {
  const durations = fc.array(fc.double({ min: 0, max: 1e8, noNaN: true }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(durations, fc.double({ min: 0.01, max: 1, noNaN: true }), (micros, share) => {
      const sorted = [...micros].sort((a, b) => a - b)
      const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] as number
      const found = histogramOf(micros).quantile(share)
      expect(found).toBeGreaterThanOrEqual(exact)
      expect(found).toBeLessThanOrEqual(Math.max(exact * 1.5, exact + 0.25) * (1 + 1e-9))
    })
  )
})

test("what is below a power of two is counted exactly", () => {
  const bounds = fc.integer({ min: 0, max: 28 })
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 2 ** 28, noNaN: true })), bounds, (micros, exponent) => {
      expect(histogramOf(micros).below(exponent)).toBe(micros.filter((one) => one < 2 ** exponent).length)
    })
  )
})

test("what no bucket reaches, and a clock that goes back, are counted at the ends", () => {
  const histogram = histogramOf([Number.POSITIVE_INFINITY, 1e15, -3, 0])
  expect(histogram.count).toBe(4)
  expect(histogram.below(0)).toBe(2)
  expect(histogram.quantile(0.5)).toBe(0.25)
})

test("without a duration there is no quantile", () => {
  expect(new Histogram().quantile(0.99)).toBe(0)
})

test("two together are as one that counted everything", () => {
  const some = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }))
  fc.assert(
    fc.property(some, some, fc.double({ min: 0.01, max: 1, noNaN: true }), (left, right, share) => {
      const sum = histogramOf(left)
      sum.add(histogramOf(right))
      const whole = histogramOf([...left, ...right])
      expect([sum.count, sum.maxMicros]).toEqual([whole.count, whole.maxMicros])
      expect(sum.quantile(share)).toBe(whole.quantile(share))
    })
  )
})
