/** Rolling updates that go well, and some that do not. */
import { expect, test } from "bun:test"
import { taskLabel } from "#actors/drivers/labels.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { setting, template } from "#test/simulation/wishes.ts"
import { World } from "#test/simulation/world.ts"

const second = 1e9

function aWorld(seed: number, update: ServiceSpec["UpdateConfig"] = {}): World {
  const world = new World({ seed })
  const config = { Parallelism: 2, Monitor: second, ...update }
  world.create("web", {
    Mode: { Replicated: { Replicas: 6 } },
    UpdateConfig: config,
    RollbackConfig: config,
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] }
  })
  expect(world.runUntil(() => world.running() === 6, 10_000)).toBe(true)
  return world
}

const runImage = (world: World, image: string): void =>
  world.update("web", (spec) => ({ ...spec, TaskTemplate: template(image) }))

const images = (world: World) => [
  ...new Set(
    world
      .containers()
      .filter(({ container }) => container.status === "running")
      .map(({ container }) => container.image)
  )
]

const state = (world: World) => world.service("web")?.UpdateStatus?.State

test("a rolling update replaces two at a time, and four or more run throughout", () => {
  const world = aWorld(41)
  runImage(world, "web:2")
  let least = 6
  const done = () => {
    least = Math.min(least, world.running())
    return state(world) === "completed"
  }
  expect(world.runUntil(done, 60_000)).toBe(true)
  expect(least).toBeGreaterThanOrEqual(4)
  expect(images(world)).toEqual(["web:2"])
  world.settle()
})

test("no task is told to stop while any node still sends it traffic", () => {
  const world = aWorld(47)
  world.publishMs = 100
  const misled: Array<string> = []
  for (const { engine } of world.machines.values()) {
    const stop = engine.stopContainer.bind(engine)
    engine.stopContainer = (id, graceMs) => {
      const taskId = engine.find(id)?.labels[taskLabel]
      for (const { name, ports } of world.machines.values()) {
        if (ports.some(({ backends }) => backends.some((backend) => backend.taskId === taskId)))
          misled.push(`${name} sends ${taskId} traffic`)
      }
      return stop(id, graceMs)
    }
  }
  runImage(world, "web:2")
  expect(world.runUntil(() => state(world) === "completed", 60_000)).toBe(true)
  world.write(setting("worker-1", "drain"))
  expect(world.runUntil(() => world.runningOutside("worker-1") === 6, 15_000)).toBe(true)
  world.scale(2)
  world.settle()
  expect(world.running()).toBe(2)
  expect(misled).toEqual([])
})

test("an update that starts first never has fewer running than asked for", () => {
  const world = aWorld(42, { Order: "start-first" })
  runImage(world, "web:2")
  let least = 6
  const done = () => {
    least = Math.min(least, world.running())
    return state(world) === "completed"
  }
  expect(world.runUntil(done, 60_000)).toBe(true)
  expect(least).toBe(6)
  world.settle()
})

test.each(["missing:2", "nostart:2", "crash:100"])("an update to %s is rolled back", (image) => {
  const world = aWorld(43, { FailureAction: "rollback" })
  runImage(world, image)
  expect(world.runUntil(() => state(world) === "rollback_completed", 60_000)).toBe(true)
  world.settle()
  expect(images(world)).toEqual(["web:1"])
})

test("an update that fails pauses, and goes on when it is corrected", () => {
  const world = aWorld(44)
  runImage(world, "missing:2")
  expect(world.runUntil(() => state(world) === "paused", 60_000)).toBe(true)
  runImage(world, "web:3")
  world.settle()
  expect(images(world)).toEqual(["web:3"])
})

test("an update goes on under a new leader, over the loss of a node, and ends", () => {
  const world = aWorld(45)
  runImage(world, "web:2")
  world.advance(400)
  world.deposeLeader()
  world.advance(900)
  world.killNode("worker-1")
  world.advance(800)
  world.restartManager()
  world.advance(6_000)
  world.reviveNode("worker-1")
  world.settle()
  expect(images(world)).toEqual(["web:2"])
})
