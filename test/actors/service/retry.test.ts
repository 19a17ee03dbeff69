import { describe, expect, test } from "bun:test"
import type { RestartPolicy } from "#actors/model/spec.ts"
import { toIso, toMs } from "#actors/model/time.ts"
import { historyOf, prune } from "#actors/service/prune.ts"
import { policyOf } from "#actors/service/retry.ts"
import { Stage, seconds } from "#test/support/stage.ts"

const under = (policy: RestartPolicy, replicas = 1, nodes = ["n1"]): Stage =>
  new Stage(nodes).create("web", {
    Mode: { Replicated: { Replicas: replicas } },
    TaskTemplate: { RestartPolicy: policy }
  })

const end = (stage: Stage, state: "failed" | "complete" | "rejected" = "failed"): Stage => {
  const [task] = stage.running("web")
  if (task === undefined) throw new Error("nothing runs")
  return stage.report(task.ID, state).converge()
}

describe("condition", () => {
  test("RS-01 any: what failed and what completed are both replaced in their slot", () => {
    for (const state of ["failed", "complete"] as const) {
      const stage = end(under({ Condition: "any", Delay: 0 }), state)
      expect(stage.running("web").map((task) => task.Slot)).toEqual([1])
    }
  })

  test("RS-02 on-failure: what failed is replaced, what completed is not", () => {
    expect(end(under({ Condition: "on-failure", Delay: 0 })).running("web")).toHaveLength(1)
    const done = end(under({ Condition: "on-failure", Delay: 0 }), "complete")
    expect(done.tasks("web").map((task) => task.DesiredState)).toEqual(["shutdown"])
    expect(done.pass(60_000).running("web")).toHaveLength(0)
  })

  test("RS-03 none: neither is replaced", () => {
    for (const state of ["failed", "complete"] as const) {
      const stage = end(under({ Condition: "none" }), state).pass(60_000)
      expect(stage.tasks("web").map((task) => task.DesiredState)).toEqual(["shutdown"])
    }
  })

  test("absent is any, after five seconds, without limit", () => {
    expect(policyOf({})).toEqual({ condition: "any", delayMs: 5_000, maxAttempts: 0, windowMs: 0 })
  })
})

describe("delay", () => {
  test("RS-04 a replacement prepares in ready and runs when the delay is over, never earlier", () => {
    const stage = end(under({ Delay: seconds(3) }))
    const [waiting] = stage.wanted("web")
    expect(waiting).toMatchObject({ DesiredState: "ready", Status: { State: "ready" } })
    expect(toMs(waiting?.StartAfter)).toBe(stage.now + 3_000)
    expect(stage.pass(2_999).running("web")).toHaveLength(0)
    expect(stage.pass(1).running("web")).toHaveLength(1)
  })

  test("RS-09 it waits for the old task to stop, but no longer than a minute", () => {
    const stage = under({ Delay: seconds(1) }, 1, ["n1", "n2"])
    const [old] = stage.running("web")
    stage.stubborn.add(old?.ID ?? "")
    stage.node(old?.NodeID ?? "", { availability: "drain", labels: { "troupe.drain": "now" } }).converge()
    expect(stage.pass(50_000).running("web")).toHaveLength(0)
    expect(stage.pass(10_001).running("web")).toHaveLength(1)
  })

  test("RS-09 it goes on when the old task stops", () => {
    const stage = under({ Delay: 0 }, 1, ["n1", "n2"])
    const [old] = stage.running("web")
    stage.stubborn.add(old?.ID ?? "")
    stage.node(old?.NodeID ?? "", { availability: "drain", labels: { "troupe.drain": "now" } }).converge()
    expect(stage.running("web")).toHaveLength(0)
    stage.report(old?.ID ?? "", "shutdown").converge()
    expect(stage.running("web")).toHaveLength(1)
  })

  test("RS-09 one that follows a replacement that failed waits for the old task as well", () => {
    const stage = under({ Delay: 0 }, 1, ["n1", "n2"])
    const [old] = stage.running("web")
    stage.stubborn.add(old?.ID ?? "")
    stage.node(old?.NodeID ?? "", { availability: "drain" }).converge()
    stage.report(stage.wanted("web")[0]?.ID ?? "", "rejected").converge()
    expect(stage.wanted("web").map((task) => task.DesiredState)).toEqual(["ready"])
    stage.report(old?.ID ?? "", "shutdown").converge()
    expect(stage.running("web")).toHaveLength(1)
  })

  test("RS-09 it goes on when the old task's node goes down", () => {
    const stage = under({ Delay: 0 }, 1, ["n1", "n2"])
    const [old] = stage.running("web")
    stage.stubborn.add(old?.ID ?? "")
    stage.node(old?.NodeID ?? "", { availability: "drain" }).converge()
    stage.nodeIs(old?.NodeID ?? "", "down").converge()
    expect(stage.running("web")).toHaveLength(1)
  })

  test("RS-10 a drained node's task is replaced without the delay", () => {
    const stage = under({ Delay: seconds(30) }, 1, ["n1", "n2"])
    stage.node(stage.running("web")[0]?.NodeID ?? "", { availability: "drain" }).converge()
    expect(stage.running("web")).toHaveLength(1)
  })

  test("a node that is down costs no delay either", () => {
    const stage = under({ Delay: seconds(30) }, 1, ["n1", "n2"])
    stage.nodeIs(stage.running("web")[0]?.NodeID ?? "", "down").converge()
    expect(stage.running("web")).toHaveLength(1)
  })

  test("RS-11 a replacement that fails while the delay runs is replaced when it is over, not before", () => {
    const stage = end(under({ Delay: seconds(5) }))
    const [waiting] = stage.wanted("web")
    stage.report(waiting?.ID ?? "", "rejected").converge()
    stage.pass(4_000)
    expect(stage.tasks("web")).toHaveLength(2)
    stage.pass(1_500)
    expect(stage.tasks("web")).toHaveLength(3)
    expect(stage.wanted("web")).toHaveLength(1)
    expect(stage.pass(5_000).running("web")).toHaveLength(1)
  })

  test("RS-12 a node that comes back brings no second task into a slot", () => {
    const stage = under({ Delay: seconds(1) }, 2, ["n1", "n2"])
    stage.nodeIs("n1", "down").converge()
    stage.nodeIs("n1", "ready").converge()
    stage.pass(10_000)
    expect(stage.running("web").map((task) => task.Slot)).toEqual([1, 2])
  })
})

describe("attempts", () => {
  test("RS-05 max_attempts=1: the first failure restarts, the second does not", () => {
    const stage = under({ Delay: 0, MaxAttempts: 1 })
    expect(end(stage).running("web")).toHaveLength(1)
    expect(end(stage).running("web")).toHaveLength(0)
    expect(stage.pass(60_000).running("web")).toHaveLength(0)
  })

  test("RS-06 after an update of the template counting starts again", () => {
    const stage = under({ Delay: 0, MaxAttempts: 1 })
    end(end(stage))
    stage
      .update("web", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 } }))
      .converge()
    expect(stage.running("web")).toHaveLength(1)
    expect(end(stage).running("web")).toHaveLength(1)
    expect(end(stage).running("web")).toHaveLength(0)
  })

  test("RS-07 failures older than the window are forgotten", () => {
    const stage = under({ Delay: 0, MaxAttempts: 1, Window: seconds(10) })
    end(stage)
    stage.pass(11_000)
    expect(end(stage).running("web")).toHaveLength(1)
    expect(end(stage).running("web")).toHaveLength(0)
  })

  test("a slot that has used up its attempts is not revived when the window has passed", () => {
    const stage = under({ Delay: 0, MaxAttempts: 1, Window: seconds(10) })
    end(end(stage))
    expect(stage.pass(60_000).running("web")).toHaveLength(0)
  })

  test("RS-08 an update that changes nothing revives nothing; one of the template does", () => {
    const stage = end(under({ Condition: "none" }))
    stage.update("web", (spec) => ({ ...spec, Labels: { a: "b" } })).converge()
    expect(stage.running("web")).toHaveLength(0)
    stage
      .update("web", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 } }))
      .converge()
    expect(stage.running("web")).toHaveLength(1)
  })

  test("being drained again and again uses up no attempts", () => {
    const stage = under({ Delay: 0, MaxAttempts: 1 }, 1, ["n1", "n2"])
    for (let round = 0; round < 4; round++) {
      const node = stage.running("web")[0]?.NodeID ?? ""
      stage.node(node, { availability: "drain" }).converge()
      stage.node(node, { availability: "active" }).pass(10)
    }
    expect(stage.running("web")).toHaveLength(1)
  })
})

test("restarts in one and the same millisecond keep their order", () => {
  const stage = under({ Delay: 0 })
  for (let round = 0; round < 3; round++) end(stage)
  expect(new Set(stage.tasks("web").map((task) => task.CreatedAt))).toEqual(new Set([toIso(stage.now)]))
  expect(stage.running("web")).toHaveLength(1)
  expect(stage.tasks("web").at(-1)?.Status.State).toBe("running")
})

describe("back-off", () => {
  /** Fails the running task, and returns how long the next one is made to wait, in milliseconds. */
  const failOnce = (stage: Stage): number => {
    end(stage)
    const waiting = stage.wanted("web").at(-1)
    const waits = waiting?.StartAfter === undefined ? 0 : toMs(waiting.StartAfter) - stage.now
    stage.pass(waits)
    return waits
  }
  const waits = (stage: Stage, times: number): ReadonlyArray<number> =>
    Array.from({ length: times }, () => failOnce(stage))

  test("from the fifth failure in a row on the delay doubles, up to five minutes", () => {
    const stage = under({ Delay: seconds(5) })
    expect(waits(stage, 14)).toEqual(
      [5, 5, 5, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300].map((s) => s * 1_000)
    )
  })

  test("without a delay it begins with two seconds", () => {
    expect(waits(under({ Delay: 0 }), 8)).toEqual([0, 0, 0, 0, 2_000, 4_000, 8_000, 16_000])
  })

  test("leaves a policy alone that limits the tries", () => {
    expect(waits(under({ Delay: seconds(5), MaxAttempts: 9 }), 8)).toEqual(Array(8).fill(5_000))
  })

  test("is said beside the error of the task that failed", () => {
    const stage = under({ Delay: seconds(5) })
    waits(stage, 4)
    expect(stage.tasks("web").some((task) => /again and again/.test(task.Status.Err ?? ""))).toBe(false)
    const [task] = stage.running("web")
    stage.report(task?.ID ?? "", "failed", { Err: "task: non-zero exit (3)" }).converge()
    expect(stage.task(task?.ID ?? "").Status.Err).toBe(
      "task: non-zero exit (3) (fails again and again, next try after 10s)"
    )
  })

  test("needs no more of the history than the reaper leaves", () => {
    const stage = under({ Delay: seconds(5) })
    const seen = Array.from({ length: 8 }, () => {
      const limit = historyOf(stage.book.tables, stage.service("web"))
      const remove = prune(stage.tasks("web"), limit).map(({ ID }) => ID)
      stage.book.must({ type: "tasks.change", v: 1, create: [], update: [], remove })
      return failOnce(stage)
    })
    expect(seen).toEqual([5, 5, 5, 5, 10, 20, 40, 80].map((s) => s * 1_000))
  })

  test("a new leader goes on with it", () => {
    const stage = under({ Delay: seconds(5) })
    waits(stage, 6)
    stage.forget("web")
    expect(failOnce(stage)).toBe(40_000)
  })

  test("a task that stayed up ends it", () => {
    const stage = under({ Delay: seconds(5) })
    waits(stage, 6)
    stage.pass(40_000)
    expect(waits(stage, 2)).toEqual([5_000, 5_000])
  })

  test("an update ends it, and a task that lost its node never waits", () => {
    const stage = under({ Delay: seconds(5) }, 1, ["n1", "n2"])
    waits(stage, 7)
    stage.nodeIs(stage.running("web")[0]?.NodeID ?? "", "down").converge()
    expect(stage.running("web")).toHaveLength(1)
    stage
      .update("web", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 } }))
      .converge()
    expect(failOnce(stage.pass(10_000))).toBe(5_000)
  })
})
