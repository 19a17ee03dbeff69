/** Containers that are asked for, and containers that end. */
import { expect, test } from "bun:test"
import { World } from "#test/simulation/world.ts"

test("six replicas run, spread over three nodes, and then nothing happens any more", () => {
  const world = new World({ seed: 1 })
  world.scale(6)
  expect(world.runUntil(() => world.running() === 6, 5_000)).toBe(true)
  expect(world.workers.map((name) => world.runningOutside(name))).toEqual([4, 4, 4])
  world.settle()
})
