/** What becomes of waits when the leader's clock is set, another manager with another clock leads, or a node's differs. */
import { describe, expect, test } from "bun:test"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { toIso } from "#actors/model/time.ts"
import { job, Stage, seconds } from "#test/support/stage.ts"

const hour = 3_600_000

/** The ways in which time goes back for a service's decisions. */
const ways: ReadonlyArray<readonly [string, (stage: Stage) => Stage]> = [
  ["set back by an hour", (stage) => stage.setClock(-hour)],
  ["set back by a day", (stage) => stage.setClock(-24 * hour)],
  ["an hour behind, as another manager leads", (stage) => stage.forget("web").setClock(-hour)],
  ["an hour ahead for a moment", (stage) => stage.setClock(hour).converge().setClock(-hour)]
]

const web = (spec: ServiceSpec = {}, nodes = ["n1"]): Stage =>
  new Stage(nodes).create("web", { Mode: { Replicated: { Replicas: 2 } }, ...spec })

const update = (stage: Stage): Stage =>
  stage
    .pass(60_000)
    .update("web", (spec) => ({ ...spec, TaskTemplate: { ContainerSpec: { Image: "two" } } }))
    .converge()

for (const [words, turn] of ways) {
  describe(`with the clock ${words}`, () => {
    test("a task that failed is started again within its delay", () => {
      const stage = web({ TaskTemplate: { RestartPolicy: { Delay: seconds(5) } } })
      const [task] = stage.running("web")
      stage.report(task?.ID ?? "", "failed").converge()
      expect(stage.running("web")).toHaveLength(1)
      expect(turn(stage).pass(5_000).running("web")).toHaveLength(2)
    })

    test("an update goes on, and is completed", () => {
      const stage = update(web({ UpdateConfig: { Parallelism: 1, Delay: seconds(5) } }))
      turn(stage.pass(1_000)).pass(60_000)
      expect(stage.service("web").UpdateStatus?.State).toBe("completed")
    })

    test("an update that is only watched any more is completed", () => {
      const stage = update(web({ UpdateConfig: { Parallelism: 0, Monitor: seconds(10) } }))
      expect(stage.service("web").UpdateStatus?.State).toBe("updating")
      turn(stage).pass(21_000)
      expect(stage.service("web").UpdateStatus?.State).toBe("completed")
    })

    test("a task that does not stop holds its successor up no longer than a minute or two", () => {
      const stage = web({ Mode: { Replicated: { Replicas: 1 } } }, ["n1", "n2"])
      const [old] = stage.running("web")
      stage.stubborn.add(old?.ID ?? "")
      stage.node(old?.NodeID ?? "", { availability: "drain", labels: { "troupe.drain": "now" } }).converge()
      expect(stage.running("web")).toHaveLength(0)
      expect(turn(stage).pass(120_000).running("web")).toHaveLength(1)
    })

    test("a drained node is left although nobody takes the task's place", () => {
      const stage = web({ Mode: { Replicated: { Replicas: 1 } } }, ["n1", "n2"])
      const [old] = stage.running("web")
      stage.node(old?.NodeID ?? "", { availability: "drain" }).lookAll()
      for (const { ID } of stage.tasks("web")) stage.stubborn.add(ID)
      stage.converge()
      expect(stage.task(old?.ID ?? "").DesiredState).toBe("running")
      turn(stage).pass(120_000)
      expect(stage.task(old?.ID ?? "").DesiredState).toBe("shutdown")
    })
  })
}

test("a clock that is set by less than a wait is long makes it no more than twice as long", () => {
  const stage = web({ TaskTemplate: { RestartPolicy: { Delay: seconds(60) } } })
  const [task] = stage.running("web")
  stage
    .report(task?.ID ?? "", "failed")
    .converge()
    .setClock(-40_000)
  expect(stage.pass(59_000).running("web")).toHaveLength(1)
  expect(stage.pass(61_000).running("web")).toHaveLength(2)
})

test("a job is tried again after its delay, whatever the clock of the node says that it failed on", () => {
  for (const aheadMs of [hour, -hour]) {
    const stage = job(new Stage(), 1, 1, { Delay: seconds(5) })
    stage.place()
    const [task] = stage.tasks("job")
    stage.book.must({
      type: "tasks.report",
      v: 1,
      node: "n1",
      statuses: [{ id: task?.ID ?? "", status: { Timestamp: toIso(stage.now + aheadMs), State: "failed" } }]
    })
    stage.look("job")
    expect(stage.tasks("job")).toHaveLength(1)
    stage.book.time += 5_000
    stage.look("job")
    expect(stage.tasks("job")).toHaveLength(2)
  }
})

const failsBy = (stage: Stage, id: string, aheadMs: number): Stage => {
  const status = { Timestamp: toIso(stage.now + aheadMs), State: "failed" as const }
  stage.book.must({
    ...{ type: "tasks.report", v: 1, node: stage.task(id).NodeID ?? "" },
    statuses: [{ id, status }]
  })
  return stage
}

test("attempts within a window are counted by the leader's clock, whatever the node's is", () => {
  for (const aheadMs of [hour, -hour]) {
    const RestartPolicy = { Delay: 0, MaxAttempts: 1, Window: seconds(60) }
    const stage = web({ Mode: { Replicated: { Replicas: 1 } }, TaskTemplate: { RestartPolicy } })
    const fail = (): void => {
      failsBy(stage, stage.running("web")[0]?.ID ?? "", aheadMs).converge()
    }
    fail()
    expect(stage.running("web")).toHaveLength(1)
    stage.pass(61_000)
    fail()
    expect(stage.running("web")).toHaveLength(1)
    fail()
    expect(stage.pass(120_000).running("web")).toHaveLength(0)
  }
})

test("another leader finds what an update broke, whatever the clock of the node says that it ended on", () => {
  for (const aheadMs of [hour, -hour]) {
    const stage = update(web({ UpdateConfig: { Parallelism: 1 } }))
    const made = stage.running("web").find(({ SpecVersion }) => SpecVersion !== 1)
    stage.book.time += 1_000
    failsBy(stage, made?.ID ?? "", aheadMs)
    stage.book.time += 1_000
    stage.forget("web").converge()
    expect(stage.service("web").UpdateStatus?.State).toBe("paused")
  }
})

test("and what it broke while nobody led, and was told of late", () => {
  const stage = update(web({ UpdateConfig: { Parallelism: 1 } }))
  const made = stage.running("web").find(({ SpecVersion }) => SpecVersion !== 1)
  stage.book.time += 60_000
  failsBy(stage, made?.ID ?? "", -59_000)
  stage.forget("web").converge()
  expect(stage.service("web").UpdateStatus?.State).toBe("paused")
})
