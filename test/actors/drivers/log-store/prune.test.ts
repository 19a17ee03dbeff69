import { expect, test } from "bun:test"
import fc from "fast-check"
import { type KeptTask, prune } from "#actors/drivers/log-store/prune.ts"

const aTask = (
  id: string,
  ...segments: ReadonlyArray<readonly [bytes: number, writtenAt: number]>
): KeptTask => ({
  id,
  segments: segments.map(([bytes, writtenAt]) => ({ bytes, writtenAt }))
})
const forEver = Number.POSITIVE_INFINITY

test("nothing goes while it is young and fits", () => {
  expect(prune([aTask("a", [10, 1], [10, 2])], { maxBytes: 20, maxAgeMs: forEver }, 100).size).toBe(0)
})

test("what is older than the age goes, whatever the size", () => {
  const tasks = [aTask("a", [1, 10], [1, 50], [1, 90]), aTask("b", [1, 95])]
  expect([...prune(tasks, { maxBytes: forEver, maxAgeMs: 20 }, 100)]).toEqual([["a", 2]])
})

test("beyond the size, the task that has most loses its oldest; the quiet ones remember", () => {
  const tasks = [aTask("loud", [50, 1], [50, 2], [50, 3]), aTask("quiet", [10, 0])]
  expect([...prune(tasks, { maxBytes: 70, maxAgeMs: forEver }, 100)]).toEqual([["loud", 2]])
})

test("what is left always fits, and no task loses more than it has", () => {
  const tasks = fc.array(
    fc.array(fc.record({ bytes: fc.nat(100), writtenAt: fc.nat(100) }), { maxLength: 5 }),
    {
      maxLength: 6
    }
  )
  fc.assert(
    fc.property(tasks, fc.nat(300), (lists, maxBytes) => {
      const kept = lists.map((segments, at) => ({ id: `${at}`, segments }))
      const lost = prune(kept, { maxBytes, maxAgeMs: forEver }, 100)
      let left = 0
      for (const { id, segments } of kept) {
        const count = lost.get(id) ?? 0
        expect(count).toBeLessThanOrEqual(segments.length)
        for (const { bytes } of segments.slice(count)) left += bytes
      }
      expect(left).toBeLessThanOrEqual(maxBytes)
    }),
    { seed: 3 }
  )
})
