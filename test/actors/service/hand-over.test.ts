import { describe, expect, test } from "bun:test"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Stage, seconds } from "#test/support/stage.ts"

/** One slot, two nodes, and a task that runs on the one that is about to be drained. */
function stageWith(spec: ServiceSpec = {}) {
  const stage = new Stage(["n1", "n2"]).create("web", { Mode: { Replicated: { Replicas: 1 } }, ...spec })
  const [first] = stage.running("web")
  if (first?.NodeID === undefined) throw new Error("nothing runs")
  return { stage, first, home: first.NodeID }
}

/** Each task's observed and desired state, oldest first. */
const states = (stage: Stage): ReadonlyArray<string> =>
  stage.tasks("web").map(({ Status, DesiredState }) => `${Status.State}, wanted ${DesiredState}`)

describe("a task on a node that is drained", () => {
  test("runs until the one that takes its place does", () => {
    const { stage, home } = stageWith()
    stage.node(home, { availability: "drain" }).look("web")
    expect(states(stage)).toEqual(["running, wanted running", "new, wanted running"])
    stage.place()
    stage.look("web")
    expect(states(stage)).toEqual(["running, wanted running", "assigned, wanted running"])
    stage.converge()
    expect(states(stage)).toEqual(["shutdown, wanted shutdown", "running, wanted running"])
    expect(stage.running("web")[0]?.NodeID).not.toBe(home)
  })

  test("is ended at once where no node can take its place", () => {
    const { stage } = stageWith()
    for (const id of ["n1", "n2"]) stage.node(id, { availability: "drain" })
    stage.converge()
    expect(states(stage)).toEqual(["shutdown, wanted shutdown", "pending, wanted running"])
  })

  test("waits no longer than a minute for one that does not come up", () => {
    const { stage, home } = stageWith({ TaskTemplate: { Placement: { Constraints: ["node.role==worker"] } } })
    stage.node(home, { availability: "drain" }).look("web")
    stage.place()
    const [, next] = stage.tasks("web")
    stage.stubborn.add(next?.ID ?? "")
    stage.pass(59_000)
    expect(states(stage)[0]).toBe("running, wanted running")
    stage.pass(1_500)
    expect(states(stage)[0]).toBe("shutdown, wanted shutdown")
  })

  test("is replaced as any other once the one that was to take its place has failed", () => {
    const { stage, home } = stageWith({ TaskTemplate: { RestartPolicy: { Delay: seconds(5) } } })
    stage.node(home, { availability: "drain" }).look("web")
    stage.place()
    const [, next] = stage.tasks("web")
    stage.report(next?.ID ?? "", "failed").look("web")
    stage.look("web")
    expect(stage.tasks("web").filter(({ DesiredState }) => DesiredState !== "shutdown")).toHaveLength(1)
    stage.pass(6_000)
    expect(stage.running("web").map(({ NodeID }) => NodeID)).not.toContain(home)
    expect(stage.running("web")).toHaveLength(1)
  })

  test("stays, and the other goes, when the node is active again before that has come up", () => {
    const { stage, first, home } = stageWith()
    stage.node(home, { availability: "drain" }).look("web")
    stage.node(home, { availability: "active" }).converge()
    expect(stage.running("web").map(({ ID }) => ID)).toEqual([first.ID])
    expect(stage.tasks("web").filter(({ DesiredState }) => DesiredState === "running")).toHaveLength(1)
  })

  const atOnce: ReadonlyArray<readonly [string, ServiceSpec, Record<string, string>]> = [
    ["where the node's label says now", {}, { "troupe.drain": "now" }],
    [
      "where it has a port of the host's",
      { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80, PublishMode: "host" }] } },
      {}
    ],
    ["where two must not run", { Labels: { "troupe.exclusive": "true" } }, {}],
    ["where nothing may take its place", { TaskTemplate: { RestartPolicy: { Condition: "none" } } }, {}]
  ]
  for (const [where, spec, labels] of atOnce) {
    test(`is ended at once ${where}`, () => {
      const { stage, home } = stageWith(spec)
      stage.node(home, { availability: "drain", labels }).look("web")
      expect(states(stage)[0]).toBe("running, wanted shutdown")
    })
  }

  test("goes by the update's order while an update is under way", () => {
    const { stage, home } = stageWith()
    stage.update("web", (spec) => ({ ...spec, TaskTemplate: { ContainerSpec: { Image: "other" } } }))
    stage.node(home, { availability: "drain" }).look("web")
    expect(states(stage)[0]).toBe("running, wanted shutdown")
  })
})
