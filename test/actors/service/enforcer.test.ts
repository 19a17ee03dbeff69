/** Tasks whose node offers less than it did, and tasks that wait for what nobody wants any more. */
import { describe, expect, test } from "bun:test"
import type { NodeResources } from "#actors/model/objects.ts"
import type { GenericResource, ServiceSpec } from "#actors/model/spec.ts"
import { Stage } from "#test/support/stage.ts"

const asking = (replicas: number, Reservations: object): ServiceSpec => ({
  Mode: { Replicated: { Replicas: replicas } },
  TaskTemplate: { Resources: { Reservations } }
})
const named = (...names: ReadonlyArray<string>): ReadonlyArray<GenericResource> =>
  names.map((Value) => ({ NamedResourceSpec: { Kind: "gpu", Value } }))
const counted = (Value: number): ReadonlyArray<GenericResource> => [
  { DiscreteResourceSpec: { Kind: "gpu", Value } }
]

/** The node says what it has by now. */
function offers(stage: Stage, id: string, part: Partial<NodeResources>): Stage {
  const Description = {
    Hostname: id,
    Platform: { OS: "linux", Architecture: "x86_64" },
    Resources: { NanoCPUs: 4e9, MemoryBytes: 8e9, ...part },
    Engine: { EngineVersion: "1" }
  }
  stage.book.node(id, { Description })
  return stage
}

const rejections = (stage: Stage, id: string) =>
  stage.tasks(id).filter((task) => task.Status.State === "rejected")

describe("a node that offers less", () => {
  test("CE-03 has its youngest tasks rejected, as many as do not fit, and they run elsewhere", () => {
    const stage = new Stage(["n1"]).create("web", asking(3, { NanoCPUs: 1e9 }))
    stage.book.node("n2")
    const before = stage.running("web").map((task) => task.ID)
    offers(stage, "n1", { NanoCPUs: 2e9 }).converge()
    expect(rejections(stage, "web")).toMatchObject([
      { DesiredState: "shutdown", Status: { Err: "assigned node no longer meets constraints" } }
    ])
    expect(
      stage
        .running("web")
        .map((task) => task.NodeID)
        .sort()
    ).toEqual(["n1", "n1", "n2"])
    expect(before.filter((id) => stage.task(id).DesiredState === "running")).toHaveLength(2)
  })

  test("CE-03 two services agree on which of their tasks are too much", () => {
    const stage = new Stage(["n1"]).create("old", asking(2, { MemoryBytes: 3e9 }))
    stage.book.time += 1_000
    stage.create("new", asking(1, { MemoryBytes: 2e9 }))
    offers(stage, "n1", { MemoryBytes: 6e9 }).converge()
    expect([rejections(stage, "old").length, rejections(stage, "new").length]).toEqual([0, 1])
    expect(stage.running("old")).toHaveLength(2)
  })

  test("CE-04 a job's tasks that are complete do not count", () => {
    const stage = new Stage(["n1"])
    stage.create("job", {
      Mode: { ReplicatedJob: { TotalCompletions: 2 } },
      TaskTemplate: { Resources: { Reservations: { NanoCPUs: 2e9 } } }
    })
    expect(stage.tasks("job").map((task) => task.Status.State)).toEqual(["complete", "complete"])
    stage.create("web", asking(1, { NanoCPUs: 2e9 }))
    offers(stage, "n1", { NanoCPUs: 2e9 }).converge()
    expect(rejections(stage, "web")).toEqual([])
    expect(stage.running("web")).toHaveLength(1)
  })

  test("CE-06 a task whose named resource is gone is rejected, the others are not", () => {
    const stage = offers(new Stage(["n1"]), "n1", { GenericResources: named("a", "b", "c") })
    stage.create("web", asking(2, { GenericResources: counted(1) }))
    const [first, second] = stage.running("web")
    const name = (task = first) => task?.AssignedGenericResources?.[0]?.NamedResourceSpec?.Value ?? ""
    const left = ["a", "b", "c"].filter((each) => each !== name(first))
    offers(stage, "n1", { GenericResources: named(...left) }).converge()
    expect(rejections(stage, "web").map((task) => task.ID)).toEqual([first?.ID ?? ""])
    expect(stage.task(second?.ID ?? "").DesiredState).toBe("running")
    expect(
      stage
        .running("web")
        .map((task) => name(task))
        .sort()
    ).toEqual(left)
  })

  test("CE-07 of tasks that hold more of a counted resource than is left the youngest goes", () => {
    const stage = offers(new Stage(["n1"]), "n1", { GenericResources: counted(4) })
    stage.create("web", asking(2, { GenericResources: counted(2) }))
    offers(stage, "n1", { GenericResources: counted(3) }).converge()
    expect(rejections(stage, "web")).toHaveLength(1)
    expect(stage.running("web")).toHaveLength(1)
    expect(stage.wanted("web").find((task) => task.Status.State === "pending")?.Status.Err).toContain(
      "insufficient resources on 1 node"
    )
  })

  test("CE-08 tasks that are to stop anyway are left alone, and in nobody's way", () => {
    const stage = new Stage(["n1"]).create("web", asking(2, { NanoCPUs: 1e9 }))
    const [leaving] = stage.running("web")
    stage.stubborn.add(leaving?.ID ?? "")
    stage.scale("web", 1).converge()
    offers(stage, "n1", { NanoCPUs: 1e9 }).converge()
    expect(rejections(stage, "web")).toEqual([])
    expect(stage.running("web")).toHaveLength(1)
  })
})

describe("a job's tasks", () => {
  test("CE-01 CE-03 that lose their place are rejected, and the work is done elsewhere", () => {
    const stage = new Stage(["n1"])
    stage.node("n1", { labels: { zone: "a" } })
    const [constrained, reserving] = [
      { Placement: { Constraints: ["node.labels.zone == a"] } },
      { Resources: { Reservations: { NanoCPUs: 3e9 } } }
    ]
    for (const [id, TaskTemplate] of Object.entries({ constrained, reserving })) {
      stage.book.service(id, { Mode: { ReplicatedJob: { TotalCompletions: 1 } }, TaskTemplate })
      stage.look(id)
      stage.place()
      for (const task of stage.tasks(id)) {
        stage.stubborn.add(task.ID)
        stage.report(task.ID, "running")
      }
    }
    offers(stage, "n1", { NanoCPUs: 1e9 }).node("n1", { labels: {} })
    stage.book.node("n2")
    stage.node("n2", { labels: { zone: "a" } }).converge()
    for (const id of ["constrained", "reserving"]) {
      expect(rejections(stage, id)).toMatchObject([{ NodeID: "n1", DesiredState: "shutdown" }])
      const done = stage.tasks(id).filter((task) => task.Status.State === "complete")
      expect(done.map((task) => task.NodeID)).toEqual(["n2"])
    }
  })
})

describe("tasks that wait for a node", () => {
  const nowhere: ServiceSpec = {
    Mode: { Replicated: { Replicas: 1 } },
    TaskTemplate: { Placement: { Constraints: ["node.labels.zone == nowhere"] } }
  }

  test("SC-28 one of an older spec is shut down by the update, and the new one takes its place", () => {
    const stage = new Stage(["n1"]).create("web", nowhere)
    const [waiting] = stage.tasks("web")
    expect(waiting?.Status.State).toBe("pending")
    stage.update("web", ({ TaskTemplate: _nowhere, ...spec }) => ({
      ...spec,
      TaskTemplate: { ContainerSpec: { Image: "other" } }
    }))
    stage.pass(10_000)
    expect(stage.task(waiting?.ID ?? "").DesiredState).not.toBe("running")
    expect(stage.running("web")).toHaveLength(1)
  })

  test("SC-29 those of a service that was removed leave the queue", () => {
    const stage = new Stage(["n1"]).create("web", nowhere)
    const [waiting] = stage.tasks("web")
    stage.book.must({ type: "service.remove", v: 1, id: "web" })
    stage.converge()
    stage.node("n1", { labels: { zone: "nowhere" } }).converge()
    const left = stage.book.tables.get("task", waiting?.ID ?? "")
    expect(left?.NodeID).toBeUndefined()
    expect(left === undefined || left.DesiredState === "remove").toBe(true)
    expect(stage.place()).toBe(0)
  })
})

describe("a volume that is drained", () => {
  const mounting = (source: string): ServiceSpec => ({
    Mode: { Replicated: { Replicas: 2 } },
    TaskTemplate: {
      ContainerSpec: { Mounts: [{ Type: "cluster", Source: source, Target: "/data" }] }
    }
  })
  const staged = () => {
    const stage = new Stage([])
    stage.book.node("n1", {
      Description: {
        Hostname: "n1",
        Platform: { OS: "linux", Architecture: "x86_64" },
        Resources: { NanoCPUs: 4e9, MemoryBytes: 8e9 },
        Engine: { EngineVersion: "1" },
        CSIInfo: [{ PluginName: "folders", NodeID: "there" }]
      }
    })
    stage.book.volume("data").volume("other", { Group: "spare" })
    return stage.create("web", mounting("data")).create("aside", mounting("group:spare"))
  }

  test("CE-09 has the tasks that use it rejected, and nobody else's", () => {
    const stage = staged()
    expect(stage.running("web")).toHaveLength(2)
    stage.book.setAvailability("data", "drain")
    stage.converge()
    expect(rejections(stage, "web")).toMatchObject([
      { DesiredState: "shutdown" },
      { DesiredState: "shutdown" }
    ])
    expect(stage.running("web")).toHaveLength(0)
    expect([rejections(stage, "aside").length, stage.running("aside").length]).toEqual([0, 2])
    // Its node has let go, so it may come back.
    for (const state of ["pending-node-unpublish", "pending-controller-unpublish", "unpublished"] as const)
      stage.book.step("data", "n1", state)
    stage.book.setAvailability("data", "active")
    expect(stage.converge().running("web")).toHaveLength(2)
  })

  test("CE-09 leaves tasks that have ended, and one that is paused leaves all", () => {
    const stage = staged()
    const [first = ""] = stage.running("web").map(({ ID }) => ID)
    stage.report(first, "complete")
    stage.book.setAvailability("data", "pause")
    stage.converge()
    expect(rejections(stage, "web")).toEqual([])
    expect(stage.running("web")).toHaveLength(1)
    stage.book.setAvailability("data", "drain")
    stage.converge()
    expect(stage.task(first).Status.State).toBe("complete")
    expect(rejections(stage, "web")).toHaveLength(1)
  })
})
