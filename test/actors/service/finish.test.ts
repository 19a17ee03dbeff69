import { describe, expect, test } from "bun:test"
import type { Task } from "#actors/model/objects.ts"
import { isDisposable } from "#actors/service/prune.ts"
import { addJob, job, Stage } from "#test/support/stage.ts"

/** The newest tasks that have not ended end. */
function end(stage: Stage, state: "complete" | "failed", most = 100): void {
  const open = stage
    .tasks("job")
    .filter((task) => task.Status.State === "new" && task.DesiredState === "complete")
  for (const { ID } of open.slice(0, most)) {
    stage.book.must({
      type: "tasks.change",
      v: 1,
      create: [],
      update: [{ id: ID, NodeID: "n1", Status: { Timestamp: "", State: state } }],
      remove: []
    })
  }
  stage.book.time += 10
  stage.look("job")
}

const slots = (stage: Stage) => stage.tasks("job").map((task) => task.Slot)

describe("replicated jobs", () => {
  test("of more tasks than the nodes can carry only so many wait, and others follow as these come to run", () => {
    const stage = job(new Stage(), 3_000, 3_000)
    expect(stage.tasks("job")).toHaveLength(2_000)
    const [first] = stage.tasks("job")
    stage.place()
    // Large services are looked at in strides.
    stage.book.time += 100
    stage.report(first?.ID ?? "", "running").look("job")
    expect(stage.tasks("job")).toHaveLength(2_001)
  })

  test("a task of a drained node is replaced when it has stopped, or has had a minute for it", () => {
    for (const way of ["stops", "does not stop"]) {
      const stage = job(new Stage(["n1", "n2"]), 1, 1)
      stage.place()
      const [task] = stage.tasks("job")
      stage.report(task?.ID ?? "", "running").node(task?.NodeID ?? "", { availability: "drain" })
      stage.look("job")
      expect(stage.desired("job")).toEqual(["shutdown"])
      if (way === "stops") stage.report(task?.ID ?? "", "shutdown")
      else stage.book.time += 60_000
      stage.look("job")
      expect(stage.desired("job")).toEqual(["shutdown", "complete"])
    }
  })

  test("a task whose slot's work was done by one that had been lost is stopped, and counts until it is", () => {
    const stage = job(new Stage(["n1", "n2"]), 1, 2)
    stage.place()
    const [lost] = stage.tasks("job")
    stage
      .report(lost?.ID ?? "", "running")
      .nodeIs(lost?.NodeID ?? "", "down")
      .look("job")
    stage.place()
    const second = stage.tasks("job")[1]
    stage.report(second?.ID ?? "", "running").nodeIs(lost?.NodeID ?? "", "ready")
    stage.report(lost?.ID ?? "", "complete").look("job")
    expect(stage.desired("job")).toEqual(["shutdown", "shutdown"])
    stage.report(second?.ID ?? "", "shutdown").look("job")
    expect(slots(stage)).toEqual([0, 0, 1])
    expect(stage.desired("job")).toEqual(["shutdown", "shutdown", "complete"])
  })

  test("JB-01 JB-02 start as many tasks as may run at a time, wanted complete, each in a slot from 0", () => {
    const stage = job(new Stage(), 3, 10)
    expect(stage.tasks("job").map((task) => [task.Slot, task.DesiredState, task.JobIteration])).toEqual([
      [0, "complete", { Index: 0 }],
      [1, "complete", { Index: 0 }],
      [2, "complete", { Index: 0 }]
    ])
    expect(slots(job(new Stage(), 10, 3))).toEqual([0, 1, 2])
  })

  test("JB-03 JB-06 go on until all are complete, and start no more than are still needed", () => {
    const stage = job(new Stage(), 2, 5)
    end(stage, "complete", 1)
    expect(slots(stage)).toEqual([0, 1, 2])
    for (let round = 0; round < 10; round++) end(stage, "complete")
    expect(slots(stage)).toEqual([0, 1, 2, 3, 4])
  })

  test("JB-07 of a service that is gone nothing is asked for", () => {
    const stage = job(new Stage(), 2, 2)
    end(stage, "complete")
    stage.book.must({ type: "service.remove", v: 1, id: "job" })
    const before = stage.tasks("job").length
    stage.look("job")
    expect(stage.tasks("job")).toHaveLength(before)
    expect(stage.desired("job")).not.toContain("complete")
  })

  test("JB-20 a job that cannot go on holds up no other", () => {
    const stage = new Stage().create("stuck", {
      Mode: { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } },
      TaskTemplate: { Placement: { Constraints: ["node.labels.zone == nowhere"] } }
    })
    job(stage, 1, 2)
    for (let round = 0; round < 2; round++) end(stage, "complete")
    expect(stage.tasks("job").map((task) => task.Status.State)).toEqual(["complete", "complete"])
    expect(stage.tasks("stuck").map((task) => task.Status.State)).toEqual(["pending"])
  })

  test("JB-22 nothing is asked for until a task has ended", () => {
    const stage = job(new Stage(), 1, 3)
    stage.place()
    const [task] = stage.tasks("job")
    for (const state of ["accepted", "preparing", "ready", "starting", "running"] as const) {
      expect(stage.report(task?.ID ?? "", state).look("job")).toBe(0)
    }
    expect(stage.report(task?.ID ?? "", "complete").look("job")).toBeGreaterThan(0)
    expect(slots(stage)).toEqual([0, 1])
  })

  test("JB-05 what failed is tried again in its slot", () => {
    const stage = job(new Stage(), 1, 1)
    end(stage, "failed")
    expect(stage.tasks("job").map((task) => [task.Slot, task.DesiredState])).toEqual([
      [0, "shutdown"],
      [0, "complete"]
    ])
  })

  test("JB-09 JB-23 an update starts another iteration and sends the tasks of the last one away", () => {
    const stage = job(new Stage(), 2, 2)
    stage.update("job", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 } }))
    stage.look("job")
    const of = (iteration: number) =>
      stage
        .tasks("job")
        .filter((task) => task.JobIteration?.Index === iteration)
        .map((task) => task.DesiredState)
    expect(of(0)).toEqual(["remove", "remove"])
    expect(of(1)).toEqual(["complete", "complete"])
  })

  test("JB-17 JB-18 the restart policy ends the tries", () => {
    const none = job(new Stage(), 1, 1, { Condition: "none" })
    end(none, "failed")
    expect(none.tasks("job")).toHaveLength(1)
    const two = job(new Stage(), 1, 1, { Delay: 0, MaxAttempts: 2 })
    for (let round = 0; round < 6; round++) end(two, "failed")
    expect(two.tasks("job")).toHaveLength(3)
  })

  test("JB-19 a completed task is not started again, whatever the condition", () => {
    const stage = job(new Stage(), 1, 1, { Condition: "any", Delay: 0 })
    end(stage, "complete")
    expect(stage.tasks("job")).toHaveLength(1)
  })

  test("JB-04 tasks that are being stopped do not count, and their slots are used again", () => {
    const stage = job(new Stage(["n1", "n2"]), 2, 4)
    stage.place()
    const [task] = stage.tasks("job")
    stage.report(task?.ID ?? "", "running").node(task?.NodeID ?? "", { availability: "drain" })
    stage.look("job")
    stage.report(task?.ID ?? "", "shutdown").look("job")
    expect(stage.wanted("job").map(({ Slot }) => Slot)).toEqual([0, 1])
  })

  test("JB-08 more tasks than are asked for are left to end, and nothing is started", () => {
    const stage = job(new Stage(), 1, 1)
    const [{ CreatedAt: _at, UpdatedAt: _then, Version: _version, ...task }] = stage.tasks("job") as [Task]
    const create = [1, 2].map((Slot) => ({ ...task, ID: `more${Slot}`, Slot }))
    stage.book.must({ type: "tasks.change", v: 1, create, update: [], remove: [] })
    expect(stage.look("job")).toBe(0)
    end(stage, "complete", 1)
    expect(stage.desired("job")).toEqual(["complete", "complete", "complete"])
  })

  test("JB-16 a task that was stopped already is not touched again", () => {
    const stage = job(new Stage(["n1", "n2"]), 1, 1)
    stage.place()
    const [task] = stage.tasks("job")
    stage.report(task?.ID ?? "", "running").node(task?.NodeID ?? "", { availability: "drain" })
    stage.look("job")
    const { Version } = stage.task(task?.ID ?? "")
    stage.nodeIs(task?.NodeID ?? "", "down").look("job")
    expect(stage.task(task?.ID ?? "").Version).toEqual(Version)
  })

  test("JB-21 TR-06 a job that is removed has its tasks removed", () => {
    const stage = job(new Stage(), 2, 2)
    stage.place()
    stage.book.must({ type: "service.remove", v: 1, id: "job" })
    stage.look("job")
    expect(stage.desired("job")).toEqual(["remove", "remove"])
    for (const task of stage.tasks("job")) {
      expect(isDisposable(stage.book.tables, task)).toBe(false)
      stage.report(task.ID, "complete")
      expect(isDisposable(stage.book.tables, stage.task(task.ID))).toBe(true)
    }
  })

  test("a job whose node dies is started again elsewhere", () => {
    const stage = job(new Stage(["n1", "n2"]), 1, 1)
    const [task] = stage.tasks("job")
    stage.book.must({
      type: "tasks.change",
      v: 1,
      create: [],
      update: [{ id: task?.ID ?? "", NodeID: "n1", Status: { Timestamp: "", State: "running" } }],
      remove: []
    })
    stage.nodeIs("n1", "down").look("job")
    expect(stage.tasks("job").map((one) => one.DesiredState)).toEqual(["shutdown", "complete"])
  })
})

describe("global jobs", () => {
  const make = (nodes: ReadonlyArray<string>): Stage =>
    addJob(new Stage(nodes), { GlobalJob: {} }, { Delay: 0, MaxAttempts: 1 })

  test("JB-11 JB-14 JB-15 one task on every node that is ready and active", () => {
    const stage = make(["n1", "n2", "n3", "n4"])
    stage
      .nodeIs("n2", "down")
      .node("n3", { availability: "drain" })
      .node("n4", { availability: "pause" })
      .look("job")
    expect(stage.tasks("job").map((task) => [task.NodeID, task.DesiredState])).toEqual([["n1", "complete"]])
  })

  test("JB-13 constraints hold, and a node that no longer meets them has its task stopped", () => {
    const stage = make(["n1", "n2"])
    stage.node("n1", { labels: { disk: "fast" } }).update("job", (spec) => ({
      ...spec,
      TaskTemplate: { ...spec.TaskTemplate, Placement: { Constraints: ["node.labels.disk==fast"] } }
    }))
    stage.look("job")
    expect(stage.tasks("job").map(({ NodeID }) => NodeID)).toEqual(["n1"])
    stage.place()
    stage.report(stage.tasks("job")[0]?.ID ?? "", "running").node("n1", { labels: {} })
    stage.look("job")
    expect(stage.desired("job")).toEqual(["shutdown"])
  })

  test("JB-14 JB-16 a paused node's running task goes on, a drained one's is stopped", () => {
    for (const [availability, desired] of [
      ["pause", "complete"],
      ["drain", "shutdown"]
    ] as const) {
      const stage = make(["n1"])
      stage.look("job")
      stage.place()
      stage.report(stage.tasks("job")[0]?.ID ?? "", "running").node("n1", { availability })
      stage.look("job")
      expect(stage.desired("job")).toEqual([desired])
    }
  })

  test("JB-25 a node that joins when the job is over does not run it, until it is started again", () => {
    const stage = make(["n1"])
    const again = (count: number) =>
      stage.update("job", (spec) => ({
        ...spec,
        TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: count }
      }))
    again(1).look("job")
    stage.book.time += 1_000
    stage.book.node("n2")
    stage.look("job")
    const nodes = () =>
      stage
        .tasks("job")
        .filter((task) => task.DesiredState === "complete")
        .map(({ NodeID }) => NodeID)
        .sort()
    expect(nodes()).toEqual(["n1", "n2"])
    end(stage, "complete")
    stage.book.time += 1_000
    stage.book.node("n3")
    expect(stage.look("job")).toBe(0)
    again(2).look("job")
    expect(nodes()).toEqual(["n1", "n2", "n3"])
  })

  test("JB-12 JB-18 completed ones count, failed ones are tried again as often as the policy says", () => {
    const stage = make(["n1"])
    stage.look("job")
    for (let round = 0; round < 5; round++) end(stage, "failed")
    expect(stage.tasks("job")).toHaveLength(2)
    const done = make(["n1"])
    done.look("job")
    end(done, "complete")
    expect(done.look("job")).toBe(0)
  })
})
