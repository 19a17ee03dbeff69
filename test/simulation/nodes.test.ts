/** Nodes that die, are cut off, are drained, and Engines that crash under them. */
import { expect, test } from "bun:test"
import { setting } from "#test/simulation/wishes.ts"
import { World } from "#test/simulation/world.ts"

const aWorld = (seed: number, workers = 3): World => {
  const world = new World({ seed, workers })
  world.scale(6)
  expect(world.runUntil(() => world.running() === 6, 10_000)).toBe(true)
  return world
}

const idsOf = (world: World) => world.runningTasks().map(({ ID }) => ID)

test("tasks of a worker cut off from its manager come back elsewhere", () => {
  const world = aWorld(11, 4)
  world.partition("worker-2")
  expect(world.runUntil(() => world.runningOutside("worker-2") === 6, 10_000)).toBe(true)
  world.advance(5_000)

  world.heal()
  world.settle()
  expect(world.running()).toBe(6)
})

test("a worker that is cut off for a second loses nothing", () => {
  const world = aWorld(12)
  const before = idsOf(world)
  world.partition("worker-1")
  world.advance(1_000)
  world.heal()
  world.settle()
  expect(idsOf(world)).toEqual(before)
})

test("tasks of a machine that is switched off run elsewhere within four seconds and a bit", () => {
  const world = aWorld(13)
  world.killNode("worker-3")
  expect(world.runUntil(() => world.runningOutside("worker-3") === 6, 4_500)).toBe(true)
  world.advance(2_000)
  world.reviveNode("worker-3")
  world.settle()
})

test("a machine that comes back before it was missed has its tasks replaced", () => {
  const world = aWorld(14)
  world.killNode("worker-3")
  world.advance(1_000)
  world.reviveNode("worker-3")
  world.settle()
})

test("a node's process that is killed and started again adopts its containers without touching one", () => {
  const world = aWorld(15)
  const before = idsOf(world)
  const starts = () => world.containers().map(({ container }) => container.starts)
  world.killAgent("worker-1")
  world.advance(1_500)
  world.startAgent("worker-1")
  world.settle()
  expect(idsOf(world)).toEqual(before)
  expect(starts()).toEqual([1, 1, 1, 1, 1, 1])
})

test("what happened to containers while no process watched them is found out and mended", () => {
  const world = aWorld(16)
  world.killAgent("worker-1")
  for (const container of world.machine("worker-1").engine.running().slice(0, 1)) {
    world.machine("worker-1").engine.kill(container)
  }
  for (const container of world.machine("worker-1").engine.running()) {
    world.machine("worker-1").engine.destroy(container)
  }
  world.advance(500)
  world.startAgent("worker-1")
  world.settle()
  expect(world.running()).toBe(6)
})

test("an Engine that crashes with live-restore costs no container", () => {
  const world = aWorld(17)
  const before = idsOf(world)
  world.crashEngine("worker-2", true, 2_500)
  world.advance(5_000)
  world.settle()
  expect(idsOf(world)).toEqual(before)
})

test("an Engine that crashes without live-restore has its tasks replaced, once each", () => {
  const world = aWorld(18)
  world.crashEngine("worker-2", false, 1_500)
  expect(world.runUntil(() => world.running() === 4, 100)).toBe(true)
  expect(world.runUntil(() => world.running() === 6, 8_000)).toBe(true)
  world.settle()
  expect(world.running()).toBe(6)
  expect(world.ledger.count("task")).toBeLessThanOrEqual(8)
})

test("tasks of a node whose Engine answers nobody for long run elsewhere, and what it kept is removed when it does", () => {
  const world = aWorld(21)
  world.crashEngine("worker-2", true, 20_000)
  expect(world.runUntil(() => world.runningOutside("worker-2") === 6, 12_000)).toBe(true)
  expect(world.machine("worker-2").engine.running().length).toBeGreaterThan(0)
  world.settle()
  expect(world.running()).toBe(6)
})

test("when more than half of the nodes fall silent at once, nothing is moved for a while, and then it is", () => {
  const world = aWorld(22, 4)
  const before = idsOf(world)
  const most = ["worker-1", "worker-2", "worker-3"]
  for (const name of most) world.partition(name)
  world.advance(8_000)
  world.heal()
  world.settle()
  expect(idsOf(world)).toEqual(before)

  for (const name of most) world.partition(name)
  const elsewhere = (): number =>
    world.runningTasks().filter(({ NodeID }) => !most.includes(NodeID ?? "")).length
  expect(world.runUntil(() => elsewhere() === 6, 14_000)).toBe(true)
  world.heal()
  world.settle()
})

test("a drained node is emptied and takes its share of what comes after", () => {
  const world = aWorld(19)
  world.write(setting("worker-1", "drain"))
  // Each is there until another has taken its place: nobody misses one.
  let fewest = 6
  const isEmpty = (): boolean => {
    fewest = Math.min(fewest, world.runningTasks().length)
    return world.runningOutside("worker-1") === 6
  }
  expect(world.runUntil(isEmpty, 15_000)).toBe(true)
  expect(fewest).toBe(6)
  world.settle()
  expect(world.machine("worker-1").engine.running()).toEqual([])
  world.write(setting("worker-1", "active"))
  world.scale(9)
  world.settle()
  expect(world.machine("worker-1").engine.running().length).toBeGreaterThan(0)
})

test("drained nodes are emptied at once where no other can take their tasks", () => {
  const world = aWorld(21)
  for (const worker of ["worker-1", "worker-2", "worker-3"]) world.write(setting(worker, "drain"))
  expect(world.runUntil(() => world.running() === 0, 5_000)).toBe(true)
  world.write(setting("worker-2", "active"))
  world.settle()
  expect(world.running()).toBe(6)
})

test("a global service follows the nodes that come and go", () => {
  const world = new World({ seed: 20 })
  world.create("agent", { Mode: { Global: {} } })
  expect(world.runUntil(() => world.running("agent") === 3, 5_000)).toBe(true)
  world.write(setting("worker-2", "drain"))
  world.killNode("worker-3")
  expect(world.runUntil(() => world.running("agent") === 1, 10_000)).toBe(true)
  world.write(setting("worker-2", "active"))
  world.reviveNode("worker-3")
  world.settle()
  expect(world.running("agent")).toBe(3)
})
