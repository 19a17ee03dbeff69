import { expect, test } from "bun:test"
import { Latest } from "#actors/meter/latest.ts"

test("the names that were told last are known by their latest value, and never more than twice as many", () => {
  const most = 100
  const latest = new Latest<number>(most)
  expect(latest.isEmpty).toBe(true)
  const order: Array<string> = []
  for (let i = 0; i < 1_500; i++) {
    // A few that are told of all the time, among many that are not.
    const name = i % 3 === 0 ? `steady-${i % 9}` : `n${(i * 7_919) % 1_000}`
    latest.set(name, i)
    order.push(name)
    const last = new Set<string>()
    for (let at = order.length - 1; at >= 0 && last.size < most; at--) last.add(order[at] as string)
    for (const each of last) expect(latest.get(each)).toBe(order.lastIndexOf(each))
  }
  expect(latest.isEmpty).toBe(false)
  const known = [...new Set(order)].filter((name) => latest.get(name) !== undefined)
  expect(known.length).toBeGreaterThanOrEqual(most)
  expect(known.length).toBeLessThanOrEqual(2 * most)
})

test("a flood of names costs each about what one name costs that is told as often", () => {
  const tell = (names: number): number => {
    const latest = new Latest<number>(10_000)
    const since = performance.now()
    for (let i = 0; i < 200_000; i++) latest.set(`flood${i % names}`, i)
    return performance.now() - since
  }
  // Looking for the oldest among those that were taken out made it hundreds of times as much.
  const best = Math.min(tell(20_000), tell(20_000), tell(20_000))
  expect(best).toBeLessThan(30 * tell(1) + 100)
})
