/** Containers that are asked for, and containers that end. */
import { expect, test } from "bun:test"
import { template } from "#test/simulation/wishes.ts"
import { World } from "#test/simulation/world.ts"

test("six replicas run, spread over three nodes, and then nothing happens any more", () => {
  const world = new World({ seed: 1 })
  world.scale(6)
  expect(world.runUntil(() => world.running() === 6, 5_000)).toBe(true)
  expect(world.workers.map((name) => world.runningOutside(name))).toEqual([4, 4, 4])
  world.settle()
})

test("a killed container is replaced, and the rest is left alone", () => {
  const world = new World({ seed: 2 })
  world.scale(4)
  expect(world.runUntil(() => world.running() === 4, 5_000)).toBe(true)
  const before = new Set(world.runningTasks().map(({ ID }) => ID))

  world.killContainer(1)
  expect(world.runUntil(() => world.running() === 3, 1_000)).toBe(true)
  expect(world.runUntil(() => world.running() === 4, 1_000)).toBe(true)
  expect(world.runningTasks().filter(({ ID }) => before.has(ID))).toHaveLength(3)
  world.settle()
})

test("containers that are killed again and again while the service is scaled come to the last number", () => {
  const world = new World({ seed: 3 })
  for (const replicas of [5, 9, 2, 7, 4]) {
    world.scale(replicas)
    for (let round = 0; round < 5; round++) {
      world.advance(40)
      world.killContainer(round)
    }
  }
  world.settle()
  expect(world.running()).toBe(4)
})

test("a container that someone removed by hand is replaced", () => {
  const world = new World({ seed: 4 })
  world.scale(2)
  world.runUntil(() => world.running() === 2, 5_000)
  const [first] = world.containers()
  first?.engine.destroy(first.container)
  expect(world.runUntil(() => world.running() === 1, 1_000)).toBe(true)
  world.settle()
  expect(world.running()).toBe(2)
})

test("a task that turns unhealthy is stopped and replaced", () => {
  const world = new World({ seed: 5 })
  const sick = template("sick:1")
  world.create("web", {
    Mode: { Replicated: { Replicas: 1 } },
    TaskTemplate: {
      ...sick,
      ContainerSpec: { ...sick.ContainerSpec, Healthcheck: { Test: ["CMD", "true"] } },
      RestartPolicy: { Delay: 0, MaxAttempts: 2 }
    }
  })
  const failed = () => [...world.ledger.all("task")].filter(({ Status }) => Status.State === "failed").length
  expect(world.runUntil(() => failed() === 3, 20_000)).toBe(true)
  world.rest()
  expect(world.containers().filter(({ container }) => container.status === "running")).toEqual([])
})

test("a job runs as often as it was asked to, also when its containers are killed", () => {
  const world = new World({ seed: 6 })
  world.create("sums", {
    Mode: { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 5 } },
    TaskTemplate: { ...template("job:200"), RestartPolicy: { Delay: 0, Condition: "on-failure" } }
  })
  for (let round = 0; round < 6; round++) {
    world.advance(130)
    world.killContainer()
  }
  world.settle()
})

test("a removed service leaves no container, no task, no file and no network", () => {
  const world = new World({ seed: 7 })
  world.create("web", {
    Mode: { Replicated: { Replicas: 5 } },
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] }
  })
  world.runUntil(() => world.running() === 5, 5_000)
  world.remove("web")
  world.settle()
  expect(world.containers()).toEqual([])
  expect(world.ledger.count("task")).toBe(0)
  expect([...world.machines.values()].flatMap(({ engine }) => [...engine.networks])).toEqual([])
})
