/** Messages that are lost, doubled, late and out of order; writes that nobody answers for; leaders that change. */
import { expect, test } from "bun:test"
import { World } from "#test/simulation/world.ts"

test("a third of all messages lost delays what was asked for and changes nothing of it", () => {
  const world = new World({ seed: 31 })
  world.network.weather = { loss: 0.33, doubling: 0, leastMs: 1, mostMs: 3 }
  world.scale(6)
  world.advance(8_000)
  world.killContainer(2)
  world.advance(8_000)
  world.heal()
  world.settle()
  expect(world.running()).toBe(6)
})

test("messages that come twice and in any order do no harm", () => {
  const world = new World({ seed: 32 })
  world.network.weather = { loss: 0, doubling: 0.5, leastMs: 1, mostMs: 120 }
  for (const replicas of [6, 2, 8, 3]) {
    world.scale(replicas)
    world.advance(700)
    world.killContainer(1)
  }
  expect(world.runUntil(() => world.running() === 3, 20_000)).toBe(true)
  world.heal()
  world.settle()
  expect([...world.ledger.all("node")].map(({ Status }) => Status.State)).toEqual(Array(4).fill("ready"))
})

test("writes that end in doubt are neither lost nor done twice", () => {
  const world = new World({ seed: 33 })
  world.log.doubt = 0.4
  world.scale(6)
  world.advance(5_000)
  world.killContainer(0)
  world.scale(3)
  world.advance(5_000)
  world.heal()
  world.settle()
  expect(world.running()).toBe(3)
})

test("a manager that is killed and started again goes on where it was, and no container notices", () => {
  const world = new World({ seed: 34 })
  world.scale(6)
  world.runUntil(() => world.running() === 6, 10_000)
  const before = world
    .runningTasks()
    .map(({ ID }) => ID)
    .sort()
  world.log.compact()
  world.restartManager()
  world.settle()
  expect(
    world
      .runningTasks()
      .map(({ ID }) => ID)
      .sort()
  ).toEqual(before)
})

test("a manager that is killed in the middle of everything finishes it after its restart", () => {
  const world = new World({ seed: 35, managerWorks: true })
  world.scale(8)
  world.advance(25)
  world.restartManager(100)
  world.advance(400)
  world.killContainer(3)
  world.restartManager(700)
  world.settle()
  expect(world.running()).toBe(8)
})

test("a change of leader leaves running tasks alone, and loses no change that was under way", () => {
  const world = new World({ seed: 36 })
  world.scale(6)
  world.runUntil(() => world.running() === 6, 10_000)
  const before = new Set(world.runningTasks().map(({ ID }) => ID))
  world.scale(9)
  world.advance(3)
  world.deposeLeader(900)
  world.advance(4_000)
  world.deposeLeader(1_500)
  world.settle()
  expect(world.running()).toBe(9)
  expect(world.runningTasks().filter(({ ID }) => before.has(ID))).toHaveLength(6)
})
