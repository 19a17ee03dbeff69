import { describe, expect, test } from "bun:test"
import type { Task } from "#actors/model/objects.ts"
import type { UpdateConfig } from "#actors/model/spec.ts"
import { Stage, seconds } from "#test/support/stage.ts"

const opening = (PublishedPort: number) => ({
  Ports: [{ Protocol: "tcp" as const, TargetPort: 80, PublishedPort, PublishMode: "host" as const }]
})
const portOf = ({ Status }: Task) => Status.PortStatus?.Ports?.[0]?.PublishedPort
const opened = (stage: Stage) => stage.running("web").map(portOf)
const with8080 = (stage: Stage) =>
  stage.running("web").flatMap((task) => (portOf(task) === 8080 ? [task.ID] : []))

/** Of three tasks that had opened 8080, each on a node of its own, one has 8081 by now, and the others are to follow. */
function half(update: UpdateConfig = {}): Stage {
  const stage = new Stage(["n1", "n2", "n3"]).create("web", {
    Mode: { Replicated: { Replicas: 3 } },
    EndpointSpec: opening(8080),
    UpdateConfig: { Parallelism: 1, Delay: seconds(10), ...update }
  })
  stage.book.time += 10
  stage.update("web", (spec) => ({ ...spec, EndpointSpec: opening(8081) })).converge()
  expect(with8080(stage)).toHaveLength(2)
  stage.book.time += 10
  return stage
}

describe("a host port that changes", () => {
  test("reaches every task where the service is changed again meanwhile, by a new leader, too", () => {
    const stage = half().update("web", (spec) => ({ ...spec, Labels: { team: "blue" } }))
    stage.forget("web").pass(90_000)
    expect(opened(stage)).toEqual([8081, 8081, 8081])
    expect(stage.service("web").UpdateStatus?.State).toBe("completed")
  })

  test("is taken back by an automatic rollback", () => {
    const stage = half({ FailureAction: "rollback" })
    const known = new Set(stage.running("web").map(({ ID }) => ID))
    stage.pass(11_000)
    const second = stage.running("web").find(({ ID }) => !known.has(ID))
    stage.report(second?.ID ?? "", "failed").pass(90_000)
    expect(stage.service("web").UpdateStatus?.State).toBe("rollback_completed")
    expect(opened(stage)).toEqual([8080, 8080, 8080])
  })

  test("is taken back by hand, where the tasks that have it still stay", () => {
    const stage = half()
    const untouched = with8080(stage)
    const { Version, Spec } = stage.service("web")
    const version = Version.Index
    stage.book.must({ type: "service.update", v: 1, id: "web", version, spec: Spec, rollback: "previous" })
    stage.pass(90_000)
    expect(opened(stage)).toEqual([8080, 8080, 8080])
    expect(with8080(stage).filter((id) => untouched.includes(id))).toEqual(untouched)
  })

  test("may be whichever it is where no number is asked for", () => {
    const stage = new Stage().create("web", { EndpointSpec: opening(0) })
    const [task] = stage.running("web")
    const Ports = [{ ...opening(32_768).Ports[0], PublishMode: "host" as const }]
    stage.report(task?.ID ?? "", "running", { PortStatus: { Ports } })
    stage.update("web", (spec) => ({ ...spec, Labels: { team: "blue" } })).pass(20_000)
    expect(stage.running("web").map(({ ID }) => ID)).toEqual([task?.ID ?? ""])
  })
})
