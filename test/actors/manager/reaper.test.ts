import { describe, expect, test } from "bun:test"
import type { Propose } from "#actors/ledger/writer.ts"
import { decide, type ReaperMessage, type ReaperState, start } from "#actors/manager/reaper.ts"
import { address } from "#runtime/address.ts"
import type { Step } from "#runtime/behaviour.ts"
import { Fresh } from "#runtime/ids.ts"
import { Stage, seconds } from "#test/support/stage.ts"

class Desk {
  readonly stage: Stage
  state: ReaperState
  asked: Propose | undefined
  timers: Array<readonly [string, number]> = []

  constructor(stage: Stage) {
    this.stage = stage
    this.state = undefined as never
    this.#follow(start({ ledger: stage.book.tables }, this.#moment()))
  }

  #moment() {
    return { now: this.stage.now, fresh: Fresh.from(1), self: address("leader", "reaper", "main") }
  }

  #follow(step: Step<ReaperState, Propose>): void {
    this.state = step.state
    for (const action of step.actions) {
      if (action._tag === "Propose") this.asked = action
      if (action._tag === "Later") this.timers.push([action.key, action.afterMs])
    }
  }

  say(message: ReaperMessage): this {
    this.#follow(decide(this.state, message, this.#moment()))
    return this
  }

  /** Sweeps, and lets the ledger apply what is asked for, until there is nothing more. */
  sweep(): this {
    this.say({ _tag: "Sweep" })
    while (this.asked !== undefined) {
      const { commands, why } = this.asked
      this.asked = undefined
      for (const command of commands) this.stage.book.must(command)
      this.say({ _tag: "Proposed", why, outcome: { _tag: "Applied", applied: { index: 0 } } })
    }
    return this
  }
}

const web = (replicas: number, delay = 0): Stage =>
  new Stage().create("web", {
    Mode: { Replicated: { Replicas: replicas } },
    TaskTemplate: { RestartPolicy: { Delay: delay } }
  })

describe("at the start", () => {
  test("TR-01 removed tasks that have ended are deleted, running ones wait", () => {
    const stage = web(2)
    const [first, second] = stage.running("web")
    stage.stubborn.add(second?.ID ?? "")
    stage.scale("web", 0).converge()
    const desk = new Desk(stage).sweep()
    expect(stage.tasks("web").map(({ ID }) => ID)).toEqual([second?.ID ?? ""])
    expect(first).toBeDefined()
    stage.report(second?.ID ?? "", "shutdown")
    desk.say({ _tag: "Touched", tasks: stage.tasks("web") }).sweep()
    expect(stage.tasks("web")).toHaveLength(0)
  })

  test("TR-02 GO-17 tasks whose service has vanished are sent away, and deleted when they have ended", () => {
    const stage = web(1)
    stage.book.must({ type: "service.remove", v: 1, id: "web" })
    const desk = new Desk(stage).sweep()
    expect(stage.desired("web")).toEqual(["remove"])
    stage.work()
    desk.say({ _tag: "Touched", tasks: stage.tasks("web") }).sweep()
    expect(stage.book.tables.count("task")).toBe(0)
  })

  test("TR-03 the history of live services is kept", () => {
    const stage = web(1)
    stage.report(stage.running("web")[0]?.ID ?? "", "failed").converge()
    new Desk(stage).sweep()
    expect(stage.tasks("web")).toHaveLength(2)
  })
})

describe("while it runs", () => {
  test("TR-04 only the slot with too much history loses its oldest", () => {
    const stage = web(2)
    for (let round = 0; round < 6; round++) {
      stage.book.time += 20_000
      const victim = stage.running("web").find((task) => task.Slot === 1)
      stage.report(victim?.ID ?? "", "failed").converge()
    }
    const oldest = stage.tasks("web").filter((task) => task.Slot === 1)
    new Desk(stage).sweep()
    const left = stage.tasks("web").filter((task) => task.Slot === 1)
    expect(left.map(({ ID }) => ID)).toEqual(oldest.slice(2).map(({ ID }) => ID))
    expect(stage.tasks("web").filter((task) => task.Slot === 2)).toHaveLength(1)
  })

  test("TR-13 a global service's history is counted per node", () => {
    const stage = new Stage(["n1", "n2"]).create("agent", {
      Mode: { Global: {} },
      TaskTemplate: { RestartPolicy: { Delay: 0 } }
    })
    for (let round = 0; round < 7; round++) {
      stage.book.time += 20_000
      const victim = stage.running("agent").find((task) => task.NodeID === "n1")
      stage.report(victim?.ID ?? "", "failed").converge()
    }
    new Desk(stage).sweep()
    expect(stage.tasks("agent").filter((task) => task.NodeID === "n1")).toHaveLength(5)
    expect(stage.tasks("agent").filter((task) => task.NodeID === "n2")).toHaveLength(1)
  })

  test("TR-11 the restarts of a service that limits them can still be counted after a sweep", () => {
    const stage = new Stage().create("web", {
      TaskTemplate: { RestartPolicy: { Delay: 0, MaxAttempts: 7, Window: seconds(3_600) } }
    })
    for (let round = 0; round < 8; round++) {
      stage.book.time += 1_000
      const [victim] = stage.running("web")
      if (victim === undefined) break
      stage.report(victim.ID, "failed").converge()
      new Desk(stage).sweep()
    }
    stage.forget("web").pass(10_000)
    expect(stage.running("web")).toHaveLength(0)
    expect(stage.tasks("web")).toHaveLength(8)
  })

  test("TR-09 it waits a quarter of a second after the first sign, and not at all with a thousand", () => {
    const stage = web(2)
    const desk = new Desk(stage)
    desk.sweep()
    desk.timers = []
    const [task] = stage.tasks("web")
    if (task === undefined) throw new Error("no task")
    desk.say({ _tag: "Touched", tasks: [task] }).say({ _tag: "Touched", tasks: [task] })
    expect(desk.timers).toEqual([["sweep", 250]])
    const many = Array.from({ length: 1_001 }, (_, at) => ({ ...task, ID: `gone-${at}` }))
    desk.say({ _tag: "Touched", tasks: many })
    expect(desk.state.touched.size).toBe(0)
  })

  test("what could not be deleted is found again", () => {
    const stage = web(1)
    stage.scale("web", 0).converge()
    const desk = new Desk(stage)
    desk.say({ _tag: "Sweep" })
    desk.asked = undefined
    desk.say({ _tag: "Proposed", why: "", outcome: { _tag: "Unknown", message: "" } })
    expect(desk.timers.at(-1)?.[0]).toBe("scan")
    desk.say({ _tag: "Scan" }).sweep()
    expect(stage.tasks("web")).toHaveLength(0)
  })
})
