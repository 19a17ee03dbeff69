import { describe, expect, test } from "bun:test"
import { checkService } from "#actors/gateway/validate/check-service.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Stage } from "#test/support/stage.ts"

const hour = 3_600_000

/** One slot, two nodes, and a task that runs on one of them. */
function stageWith(spec: ServiceSpec = {}) {
  const stage = new Stage(["n1", "n2"]).create("db", {
    Name: "db",
    Labels: { "troupe.exclusive": "true" },
    Mode: { Replicated: { Replicas: 1 } },
    ...spec
  })
  const [first] = stage.running("db")
  if (first?.NodeID === undefined) throw new Error("nothing runs")
  return { stage, first, home: first.NodeID, away: first.NodeID === "n1" ? "n2" : "n1" }
}

describe("a service with the label troupe.exclusive", () => {
  test("keeps its task on a node that fell silent, however long, and goes on with it when the node is back", () => {
    const { stage, first, home } = stageWith()
    stage.nodeIs(home, "down").pass(hour)
    expect(stage.tasks("db").map(({ ID, DesiredState }) => [ID, DesiredState])).toEqual([
      [first.ID, "running"]
    ])
    expect(
      stage
        .nodeIs(home, "ready")
        .pass(hour)
        .running("db")
        .map(({ ID }) => ID)
    ).toEqual([first.ID])
  })

  test("has it replaced at once when the silent node is removed", () => {
    const { stage, first, home, away } = stageWith()
    stage.nodeIs(home, "down").converge()
    stage.book.must({ type: "node.remove", v: 1, id: home, force: true })
    const [second] = stage.converge().running("db")
    expect(second?.NodeID).toBe(away)
    expect(second?.ID).not.toBe(first.ID)
  })

  test("has it replaced at once, without the restart delay, when its node left and says that the task has ended", () => {
    const { stage, first, home, away } = stageWith()
    stage.nodeIs(home, "down").converge()
    const status = { ...stage.task(first.ID).Status, State: "shutdown" as const }
    stage.book.must({ type: "tasks.report", v: 1, node: home, statuses: [{ id: first.ID, status }] })
    expect(
      stage
        .converge()
        .running("db")
        .map(({ NodeID }) => NodeID)
    ).toEqual([away])
  })

  test("updates only after the old task has stopped, without the usual minute's patience", () => {
    const { stage, first } = stageWith({ UpdateConfig: { Order: "start-first" } })
    stage.stubborn.add(first.ID)
    stage
      .update("db", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 } }))
      .pass(hour)
    expect(stage.wanted("db").map(({ DesiredState }) => DesiredState)).toEqual(["ready"])
    stage.stubborn.clear()
    expect(stage.pass(1_000).running("db")).toHaveLength(1)
  })

  test("waits for a task that was scaled away and has not stopped yet", () => {
    const { stage, first } = stageWith()
    stage.stubborn.add(first.ID)
    stage.scale("db", 0).converge().scale("db", 1).pass(hour)
    expect(stage.running("db")).toEqual([])
    expect(stage.wanted("db").map(({ Slot, DesiredState }) => [Slot, DesiredState])).toEqual([[1, "ready"]])
    stage.stubborn.clear()
    expect(stage.pass(1_000).running("db")).toHaveLength(1)
  })

  test("lets a task whose node no longer suits it stop before the next starts elsewhere", () => {
    const stage = new Stage(["n1", "n2"])
    stage.node("n1", { labels: { disk: "fast" } }).create("db", {
      Labels: { "troupe.exclusive": "true" },
      Mode: { Replicated: { Replicas: 1 } },
      TaskTemplate: { Placement: { Constraints: ["node.labels.disk==fast"] } }
    })
    const [first] = stage.running("db")
    stage.stubborn.add(first?.ID ?? "")
    stage
      .node("n1", { labels: {} })
      .node("n2", { labels: { disk: "fast" } })
      .pass(hour)
    expect(stage.task(first?.ID ?? "").Status.State).toBe("running")
    expect(stage.running("db")).toEqual([])
    stage.stubborn.clear()
    expect(
      stage
        .pass(1_000)
        .running("db")
        .map(({ NodeID }) => NodeID)
    ).toEqual(["n2"])
  })

  test("is refused where it cannot be meant, with the label, its value and what is expected", () => {
    const refusal = (spec: ServiceSpec): string =>
      checkService({
        Name: "db",
        TaskTemplate: { ContainerSpec: { Image: "db" } },
        ...spec
      })?.message ?? "fine"
    const asked = { Labels: { "troupe.exclusive": "true" } }
    expect(refusal(asked)).toBe("fine")
    expect(refusal({ Labels: { "troupe.exclusive": "yes" } })).toBe(
      'label troupe.exclusive "yes": expected "true" or "false"'
    )
    expect(refusal({ ...asked, Mode: { GlobalJob: {} } })).toBe(
      'label troupe.exclusive "true": expected a replicated or global service, found a job'
    )
    expect(refusal({ ...asked, UpdateConfig: { Order: "start-first" } })).toBe(
      'label troupe.exclusive "true": expected UpdateConfig.Order stop-first, found start-first, which runs two tasks of a slot'
    )
  })
})
