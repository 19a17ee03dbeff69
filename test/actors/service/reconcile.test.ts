import { describe, expect, test } from "bun:test"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Stage, seconds } from "#test/support/stage.ts"

const replicas = (count: number, more: ServiceSpec = {}): ServiceSpec => ({
  Mode: { Replicated: { Replicas: count } },
  ...more
})
const policy = (RestartPolicy: NonNullable<ServiceSpec["TaskTemplate"]>["RestartPolicy"]): ServiceSpec => ({
  TaskTemplate: { RestartPolicy: RestartPolicy ?? {} }
})
const slotsOf = (stage: Stage, id: string) => stage.wanted(id).map((task) => task.Slot)

describe("scaling", () => {
  test("RO-01 a service with two replicas gets exactly two new tasks", () => {
    const stage = new Stage()
    stage.book.service("web", replicas(2))
    stage.look("web")
    expect(stage.tasks("web").map((task) => [task.Slot, task.Status.State, task.DesiredState])).toEqual([
      [1, "new", "running"],
      [2, "new", "running"]
    ])
  })

  test("RO-02 a second service gets a task of its own and leaves the first alone", () => {
    const stage = new Stage().create("web", replicas(2))
    const before = stage.tasks("web")
    stage.create("api", replicas(1))
    expect(stage.tasks("api")).toHaveLength(1)
    expect(stage.tasks("web")).toEqual(before)
  })

  test("RO-03 scale 1→3 adds two tasks and leaves the one there is untouched", () => {
    const stage = new Stage().create("web", replicas(1))
    const [first] = stage.tasks("web")
    stage.scale("web", 3).look("web")
    expect(stage.tasks("web")).toHaveLength(3)
    expect(stage.task(first?.ID ?? "")).toEqual(first as never)
  })

  test("RO-04 scale 3→1 marks two tasks for removal and keeps one running", () => {
    const stage = new Stage().create("web", replicas(3))
    stage.scale("web", 1).look("web")
    expect([...stage.desired("web")].sort()).toEqual(["remove", "remove", "running"])
  })

  test("of more tasks than the nodes can carry only so many wait, and others follow as these come to run", () => {
    const stage = new Stage()
    stage.book.service("web", replicas(3_000))
    stage.look("web")
    expect(stage.tasks("web")).toHaveLength(2_000)
    const [first] = stage.tasks("web")
    stage.place()
    // Large services are looked at in strides.
    stage.book.time += 100
    stage.report(first?.ID ?? "", "running").look("web")
    expect(stage.tasks("web")).toHaveLength(2_001)
  })

  test("RO-05 a task that is deleted behind the orchestrator's back is made again in its slot", () => {
    const stage = new Stage().create("web", replicas(2))
    const [first] = stage.tasks("web")
    stage.book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [first?.ID ?? ""] })
    stage.converge()
    expect(slotsOf(stage, "web")).toEqual([1, 2])
  })

  test("RO-06 the tasks of a removed service are to be removed, and its actor ends", () => {
    const stage = new Stage().create("web", replicas(2))
    stage.book.must({ type: "service.remove", v: 1, id: "web" })
    stage.converge()
    expect(stage.desired("web")).toEqual(["remove", "remove"])
    expect(stage.look("web")).toBe(0)
  })

  test("RO-07 scaling down takes a task without a node before one that runs", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1))
    stage.scale("web", 2).look("web")
    const waiting = stage.tasks("web").find((task) => task.NodeID === undefined)
    stage.scale("web", 1).look("web")
    expect(stage.task(waiting?.ID ?? "").DesiredState).toBe("remove")
    expect(stage.running("web")).toHaveLength(1)
  })

  test("RO-08 scaling down takes from the node that carries most of the service", () => {
    const stage = new Stage(["n1"]).create("web", replicas(3))
    stage.book.node("n2")
    stage.scale("web", 4).converge()
    expect(stage.running("web").map((task) => task.NodeID)).toEqual(["n1", "n1", "n1", "n2"])
    stage.scale("web", 2).converge()
    expect(stage.running("web").map((task) => task.NodeID)).toEqual(["n1", "n2"])
  })

  test("RO-09 of tasks on one node those that run are kept before those that do not", () => {
    const stage = new Stage(["n1"])
    stage.book.service("web", replicas(2))
    stage.look("web")
    stage.place()
    const [first, second] = stage.tasks("web")
    stage.report(second?.ID ?? "", "running")
    stage.scale("web", 1).look("web")
    expect(stage.task(first?.ID ?? "").DesiredState).toBe("remove")
    expect(stage.task(second?.ID ?? "").DesiredState).toBe("running")
  })

  test("RO-10 within a node the lower slot numbers survive", () => {
    const stage = new Stage(["n1"]).create("web", replicas(5))
    stage.scale("web", 2).converge()
    expect(slotsOf(stage, "web")).toEqual([1, 2])
  })

  test("RO-21 new slots take the lowest free numbers, and a replacement keeps its own", () => {
    const stage = new Stage(["n1"]).create("web", replicas(3, policy({ Delay: 0 })))
    const [, second] = stage.running("web")
    stage.report(second?.ID ?? "", "failed").converge()
    expect(slotsOf(stage, "web")).toEqual([1, 2, 3])
    stage.scale("web", 1).converge()
    stage.scale("web", 3).converge()
    expect(slotsOf(stage, "web")).toEqual([1, 2, 3])
  })

  test("thirty replicas are one proposal, and none once they are there", () => {
    const stage = new Stage(["n1"])
    stage.book.service("web", replicas(30))
    expect(stage.look("web")).toBe(1)
    expect(stage.look("web")).toBe(0)
  })

  test("scaling to zero and back leaves no slot behind", () => {
    const stage = new Stage(["n1"]).create("web", replicas(2))
    stage.scale("web", 0).converge()
    expect(stage.wanted("web")).toHaveLength(0)
    stage.scale("web", 2).converge()
    expect(stage.running("web")).toHaveLength(2)
  })
})

describe("what a new leader finds", () => {
  test("RO-11 a rejected task is shut down, and its replacement waits in ready for the delay", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1))
    const [task] = stage.tasks("web")
    stage.book.must({
      type: "tasks.change",
      v: 1,
      create: [],
      update: [{ id: task?.ID ?? "", Status: { Timestamp: "", State: "rejected" } }],
      remove: []
    })
    stage.forget("web").look("web")
    expect(stage.tasks("web").map((one) => [one.Slot, one.DesiredState])).toEqual([
      [1, "shutdown"],
      [1, "ready"]
    ])
  })

  test("RO-12 beside a live task only the failed one is replaced", () => {
    const stage = new Stage(["n1"]).create("web", replicas(2))
    const [first, second] = stage.running("web")
    stage
      .report(first?.ID ?? "", "failed")
      .forget("web")
      .look("web")
    expect(stage.tasks("web")).toHaveLength(3)
    expect(stage.task(second?.ID ?? "").DesiredState).toBe("running")
  })

  test("RO-13 a task on a node that is down is replaced without waiting for it to stop", () => {
    const stage = new Stage(["n1", "n2"]).create("web", replicas(1))
    const lost = stage.running("web")[0]
    stage
      .nodeIs(lost?.NodeID ?? "", "down")
      .forget("web")
      .converge()
    expect(stage.task(lost?.ID ?? "").DesiredState).toBe("shutdown")
    expect(stage.running("web").map((task) => task.NodeID)).not.toContain(lost?.NodeID)
    expect(stage.running("web")).toHaveLength(1)
  })

  test("RO-14 a restart delay that a leader change interrupted is still served in full", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1))
    const [task] = stage.running("web")
    stage.report(task?.ID ?? "", "failed").converge()
    stage.pass(3_000).forget("web").converge()
    expect(stage.running("web")).toHaveLength(0)
    stage.pass(1_900)
    expect(stage.running("web")).toHaveLength(0)
    stage.pass(200)
    expect(stage.running("web")).toHaveLength(1)
  })

  test("RO-15 with restart policy none what is lost to a down or drained node is not made again", () => {
    for (const lose of [
      (stage: Stage) => stage.nodeIs("n1", "down"),
      (stage: Stage) => stage.node("n1", { availability: "drain" })
    ]) {
      const stage = new Stage(["n1"]).create("web", replicas(1, policy({ Condition: "none" })))
      lose(stage).forget("web").converge()
      expect(stage.tasks("web").map((task) => task.DesiredState)).toEqual(["shutdown"])
    }
  })

  test("RO-16 a node in state unknown keeps its tasks", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1))
    stage.nodeIs("n1", "unknown").forget("web")
    expect(stage.look("web")).toBe(0)
  })

  test("RO-17 a paused node keeps its tasks", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1))
    stage.node("n1", { availability: "pause" }).forget("web")
    expect(stage.look("web")).toBe(0)
  })

  test("RO-18 a task that was just assigned to a node that is down is killed", () => {
    const stage = new Stage(["n1"])
    stage.book.service("web", replicas(1))
    stage.look("web")
    stage.place()
    const [task] = stage.tasks("web")
    stage.nodeIs("n1", "down").look("web")
    expect(stage.task(task?.ID ?? "").DesiredState).toBe("shutdown")
  })
})

describe("nodes that go", () => {
  test("RO-19 a node that is drained loses its tasks to others, without a restart delay", () => {
    const stage = new Stage(["n1", "n2"]).create("web", replicas(2))
    stage.node("n1", { availability: "drain" }).converge()
    expect(stage.running("web").map((task) => task.NodeID)).toEqual(["n2", "n2"])
    expect(stage.running("web")).toHaveLength(2)
  })

  test("RO-20 the tasks of a node that was removed are shut down and made elsewhere", () => {
    const stage = new Stage(["n1", "n2"]).create("web", replicas(2))
    stage.book.must({ type: "node.remove", v: 1, id: "n1", force: true })
    stage.converge()
    expect(stage.running("web").map((task) => task.NodeID)).toEqual(["n2", "n2"])
  })
})

describe("constraints", () => {
  const zoned = replicas(2, { TaskTemplate: { Placement: { Constraints: ["node.labels.zone == a"] } } })

  test("CE-01 a task whose node no longer suits is rejected and replaced where it does", () => {
    const stage = new Stage(["n1", "n2"])
    stage.node("n1", { labels: { zone: "a" } }).create("web", zoned)
    const [task] = stage.running("web")
    stage
      .node("n1", { labels: {} })
      .node("n2", { labels: { zone: "a" } })
      .converge()
    expect(stage.task(task?.ID ?? "")).toMatchObject({
      DesiredState: "shutdown",
      Status: { State: "rejected", Err: "assigned node no longer meets constraints" }
    })
    expect(stage.running("web").map((one) => one.NodeID)).toEqual(["n2", "n2"])
  })

  test("CE-02 relabelling one node leaves the tasks of the others alone", () => {
    const stage = new Stage(["n1", "n2"])
    stage
      .node("n1", { labels: { zone: "a" } })
      .node("n2", { labels: { zone: "a" } })
      .create("web", zoned)
    const kept = stage.running("web").find((task) => task.NodeID === "n2")
    stage.node("n1", { labels: {} }).converge()
    expect(stage.task(kept?.ID ?? "").DesiredState).toBe("running")
    expect(stage.running("web").map((task) => task.NodeID)).toEqual(["n2", "n2"])
  })

  test("CE-05 it is the service's present constraints that count, also for tasks that hold older ones", () => {
    const stage = new Stage(["n1"])
    stage.node("n1", { labels: { zone: "a" } }).create("web", zoned)
    const before = stage.running("web").map((task) => task.ID)
    // Still met by the node: nothing restarts, but the tasks point at the older template.
    stage
      .update("web", (spec) => ({
        ...spec,
        TaskTemplate: { Placement: { Constraints: ["node.labels.disk == ssd"] } }
      }))
      .node("n1", { labels: { zone: "a", disk: "ssd" } })
      .converge()
    expect(stage.running("web").map((task) => task.ID)).toEqual(before)
    stage.node("n1", { labels: { zone: "a" } }).converge()
    expect(stage.running("web")).toHaveLength(0)
  })
})

describe("restart delay", () => {
  test("the default is five seconds", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1))
    const [task] = stage.running("web")
    stage.report(task?.ID ?? "", "failed").converge()
    stage.pass(4_990)
    expect(stage.running("web")).toHaveLength(0)
    stage.pass(20)
    expect(stage.running("web")).toHaveLength(1)
  })

  test("without delay the replacement of an ended task is wanted running at once", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1, policy({ Delay: 0 })))
    const [task] = stage.running("web")
    stage.report(task?.ID ?? "", "failed")
    expect(stage.look("web")).toBe(1)
    expect(stage.wanted("web").map((one) => [one.DesiredState, one.Slot])).toEqual([["running", 1]])
  })

  test("a delay is given in nanoseconds", () => {
    const stage = new Stage(["n1"]).create("web", replicas(1, policy({ Delay: seconds(2) })))
    stage.report(stage.running("web")[0]?.ID ?? "", "failed").converge()
    stage.pass(1_990)
    expect(stage.running("web")).toHaveLength(0)
    stage.pass(20)
    expect(stage.running("web")).toHaveLength(1)
  })
})
