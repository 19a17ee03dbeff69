import { expect, test } from "bun:test"
import { Balancer } from "#actors/drivers/data-plane/balance.ts"

const over = (...addresses: ReadonlyArray<string>): Balancer => {
  const balancer = new Balancer()
  balancer.replace(addresses)
  return balancer
}

const take = (balancer: Balancer, count: number, now = 0): string =>
  Array.from({ length: count }, () => balancer.next(now, undefined, false) ?? "-").join("")

test("each backend takes its turn", () => {
  expect(take(over("a", "b", "c"), 7)).toBe("abcabca")
})

test("one that failed is passed over until its time is up, or until it answers", () => {
  const balancer = over("a", "b", "c")
  balancer.shun("b", 1_000)
  expect(take(balancer, 4)).toBe("acac")
  expect(take(balancer, 3, 1_000)).toBe("abc")
  balancer.shun("b", 9_000)
  balancer.trust("b")
  expect(take(balancer, 3, 1_000)).toBe("abc")
})

test("when all have failed lately, only the desperate get one", () => {
  const balancer = over("a", "b")
  balancer.shun("a", 1_000)
  balancer.shun("b", 1_000)
  expect(balancer.next(0, undefined, false)).toBeUndefined()
  expect(balancer.next(0, undefined, true)).toBe("a")
  expect(balancer.next(0, new Set(["a"]), true)).toBe("b")
  expect(balancer.next(0, new Set(["a", "b"]), true)).toBeUndefined()
})

test("what one connection has tried is not tried by it again", () => {
  const balancer = over("a", "b", "c")
  expect(balancer.next(0, new Set(["a", "b"]), false)).toBe("c")
  expect(balancer.next(0, new Set(["a", "b", "c"]), true)).toBeUndefined()
})

test("a backend that left is forgotten, its failures too", () => {
  const balancer = over("a", "b")
  balancer.shun("a", 1_000)
  balancer.replace(["b"])
  expect(take(balancer, 2)).toBe("bb")
  balancer.replace(["a", "b"])
  expect(take(balancer, 4).split("").sort().join("")).toBe("aabb")
})

test("without backends there is nobody to name", () => {
  expect(over().next(0, undefined, true)).toBeUndefined()
})
