import { describe, expect, test } from "bun:test"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Stage, seconds } from "#test/support/stage.ts"

const everywhere = (TaskTemplate: ServiceSpec["TaskTemplate"] = {}): ServiceSpec => ({
  Mode: { Global: {} },
  TaskTemplate
})
const nodesOf = (stage: Stage, id = "agent"): ReadonlyArray<string | undefined> =>
  stage
    .running(id)
    .map((task) => task.NodeID)
    .sort()
const on = (stage: Stage, node: string, id = "agent") =>
  stage.running(id).find((task) => task.NodeID === node)
const force = (stage: Stage, counter: number, id = "agent"): Stage =>
  stage.update(id, (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: counter } }))

describe("nodes come and go", () => {
  test("GO-01 a ready node has one task, made for it from the start", () => {
    const stage = new Stage(["n1"])
    stage.book.service("agent", everywhere())
    stage.look("agent")
    expect(stage.tasks("agent")).toMatchObject([{ NodeID: "n1", Status: { State: "new" } }])
    expect(nodesOf(stage.converge())).toEqual(["n1"])
  })

  test("GO-02 a node that joins gets a task of every global service", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere()).create("logs", everywhere())
    stage.book.node("n2")
    stage.converge()
    expect([nodesOf(stage), nodesOf(stage, "logs")]).toEqual([
      ["n1", "n2"],
      ["n1", "n2"]
    ])
  })

  test("a node that is active again gets its new task when the old one has stopped", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere())
    const [old] = stage.running("agent")
    stage.stubborn.add(old?.ID ?? "")
    stage.node("n1", { availability: "drain" }).converge().node("n1", { availability: "active" }).converge()
    expect(stage.wanted("agent").map((task) => task.DesiredState)).toEqual(["ready"])
    stage.report(old?.ID ?? "", "shutdown").converge()
    expect(nodesOf(stage)).toEqual(["n1"])
  })

  test("GO-03 GO-19 tasks of a node that is no longer there are shut down", () => {
    const stage = new Stage(["n1", "n2"]).create("agent", everywhere())
    stage.book.must({ type: "node.remove", v: 1, id: "n2", force: true })
    stage.forget("agent").converge()
    expect(stage.wanted("agent").map((task) => task.NodeID)).toEqual(["n1"])
  })

  test("GO-04 GO-18 a drained node loses its task, and no update brings it back", () => {
    const stage = new Stage(["n1", "n2"]).create("agent", everywhere())
    stage.node("n2", { availability: "drain" }).forget("agent").converge()
    expect(nodesOf(stage)).toEqual(["n1"])
    force(stage, 1).pass(20_000)
    expect(nodesOf(stage)).toEqual(["n1"])
  })

  test("GO-05 a drained node that is active again gets its task back", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere())
    stage.node("n1", { availability: "drain" }).converge()
    stage.node("n1", { availability: "active" }).converge()
    expect(nodesOf(stage)).toEqual(["n1"])
  })

  test("GO-06 on a paused node a failed task is shut down and neither restart nor update revives it", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere({ RestartPolicy: { Delay: 0 } }))
    const [task] = stage.running("agent")
    stage.node("n1", { availability: "pause" }).converge()
    expect(nodesOf(stage)).toEqual(["n1"])
    stage.report(task?.ID ?? "", "failed").pass(10_000)
    force(stage, 1).pass(10_000)
    expect(stage.tasks("agent").map((one) => one.DesiredState)).toEqual(["shutdown"])
  })

  test("GO-07 a node that is down loses its task and gets one when it is ready again", () => {
    const stage = new Stage(["n1", "n2"]).create("agent", everywhere())
    stage.nodeIs("n2", "down").converge()
    force(stage, 1).pass(20_000)
    expect(nodesOf(stage)).toEqual(["n1"])
    stage.nodeIs("n2", "ready").converge()
    expect(nodesOf(stage)).toEqual(["n1", "n2"])
  })

  test("GO-08 a new global service starts on every node that is up and active", () => {
    const stage = new Stage(["n1", "n2", "n3", "n4"])
    stage.nodeIs("n3", "down").node("n4", { availability: "drain" })
    expect(nodesOf(stage.create("agent", everywhere()))).toEqual(["n1", "n2"])
  })

  test("GO-09 the tasks of a removed global service are to be removed", () => {
    const stage = new Stage(["n1", "n2"]).create("agent", everywhere())
    stage.book.must({ type: "service.remove", v: 1, id: "agent" })
    stage.converge()
    expect(stage.desired("agent")).toEqual(["remove", "remove"])
  })

  test("GO-10 a task that is deleted after its service was removed is not made again", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere())
    const [task] = stage.tasks("agent")
    stage.book.must({ type: "service.remove", v: 1, id: "agent" })
    stage.book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [task?.ID ?? ""] })
    stage.converge()
    expect(stage.tasks("agent")).toHaveLength(0)
  })
})

describe("failures", () => {
  test("GO-11 GO-13 a failed task is made again on its own node after the delay", () => {
    const stage = new Stage(["n1", "n2"]).create(
      "agent",
      everywhere({ RestartPolicy: { Delay: seconds(3) } })
    )
    stage
      .report(on(stage, "n1")?.ID ?? "", "failed")
      .forget("agent")
      .converge()
    expect(stage.wanted("agent").find((task) => task.NodeID === "n1")?.DesiredState).toBe("ready")
    stage.pass(2_900)
    expect(nodesOf(stage)).toEqual(["n2"])
    stage.pass(200)
    expect(nodesOf(stage)).toEqual(["n1", "n2"])
  })

  test("GO-12 with condition none it stays down until the template changes", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere({ RestartPolicy: { Condition: "none" } }))
    stage.report(on(stage, "n1")?.ID ?? "", "failed").converge()
    stage.update("agent", (spec) => ({ ...spec, Labels: { a: "b" } })).pass(10_000)
    expect(nodesOf(stage)).toEqual([])
    force(stage, 1).pass(10_000)
    expect(nodesOf(stage)).toEqual(["n1"])
  })

  test("GO-20 attempts are counted from the ledger: a new leader allows no more of them", () => {
    const stage = new Stage(["n1"]).create(
      "agent",
      everywhere({ RestartPolicy: { Delay: 0, MaxAttempts: 2, Window: seconds(60) } })
    )
    for (let round = 0; round < 2; round++) {
      stage.book.time += 10
      stage
        .report(on(stage, "n1")?.ID ?? "", "failed")
        .forget("agent")
        .converge()
      expect(nodesOf(stage)).toEqual(["n1"])
    }
    stage
      .report(on(stage, "n1")?.ID ?? "", "failed")
      .forget("agent")
      .pass(30_000)
    expect(nodesOf(stage)).toEqual([])
  })

  test("GO-14 of two tasks on one node one is shut down", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere())
    const [first] = stage.tasks("agent")
    stage.book.must({
      type: "tasks.change",
      v: 1,
      create: [{ ...(first as NonNullable<typeof first>), ID: "second" }],
      update: [],
      remove: []
    })
    stage.forget("agent").converge()
    expect(stage.running("agent")).toHaveLength(1)
  })

  test("GO-15 two global services that are up to date are left alone by a new leader", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere()).create("logs", everywhere())
    stage.forget("agent").forget("logs")
    expect(stage.lookAll()).toBe(0)
  })

  test("GO-16 an update or a failure of one service is no business of another", () => {
    const stage = new Stage(["n1"]).create("agent", everywhere()).create("logs", everywhere())
    const logs = stage.tasks("logs")
    force(stage, 1).pass(20_000)
    expect(stage.tasks("agent")).toHaveLength(2)
    expect(stage.tasks("logs")).toEqual(logs)
  })
})

describe("constraints", () => {
  const zoned = everywhere({ Placement: { Constraints: ["node.labels.zone == a"] } })

  test("GO-21 only nodes that match have a task, and one that stops matching loses it", () => {
    const stage = new Stage(["n1", "n2", "n3"])
    stage
      .node("n1", { labels: { zone: "a" } })
      .node("n2", { labels: { zone: "a" } })
      .create("agent", zoned)
    expect(nodesOf(stage)).toEqual(["n1", "n2"])
    stage
      .node("n2", { labels: {} })
      .node("n3", { labels: { zone: "a" } })
      .converge()
    expect(nodesOf(stage)).toEqual(["n1", "n3"])
  })
})
