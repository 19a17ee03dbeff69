import { describe, expect, test } from "bun:test"
import type { Task } from "#actors/model/objects.ts"
import { historyOf, isDisposable, prune } from "#actors/service/prune.ts"
import { Stage } from "#test/support/stage.ts"

const web = (stage: Stage, MaxAttempts = 0): Stage =>
  stage.create("web", { TaskTemplate: { RestartPolicy: { Delay: 0, MaxAttempts } } })

/** Fails the slot's task `times` times, so far apart that nothing backs off. */
function failing(stage: Stage, times: number): ReadonlyArray<Task> {
  for (let round = 0; round < times; round++) {
    stage.book.time += 20_000
    stage.report(stage.running("web")[0]?.ID ?? "", "failed").converge()
  }
  return stage.tasks("web")
}

describe("history", () => {
  test("TR-04 with a limit of two the oldest dead task goes when a third one comes", () => {
    const tasks = failing(web(new Stage()), 2)
    expect(tasks).toHaveLength(3)
    expect(prune(tasks, 2)).toEqual([tasks[0] as Task])
    expect(prune(tasks.slice(1), 2)).toEqual([])
  })

  test("TR-10 a negative limit keeps everything", () => {
    expect(prune(failing(web(new Stage()), 7), -1)).toEqual([])
  })

  test("a task that runs, or is on its way out, is never history", () => {
    const stage = web(new Stage(["n1", "n2"]))
    const [old] = stage.running("web")
    stage.stubborn.add(old?.ID ?? "")
    stage.node(old?.NodeID ?? "", { availability: "drain" }).converge()
    expect(prune(stage.tasks("web"), 0)).toEqual([])
  })

  test("the last task of a slot that stopped for good stays, or the slot would be filled again", () => {
    const stage = new Stage().create("web", { TaskTemplate: { RestartPolicy: { Condition: "none" } } })
    stage.report(stage.running("web")[0]?.ID ?? "", "failed").converge()
    expect(prune(stage.tasks("web"), 0)).toEqual([])
  })

  test("TR-11 a service that limits its restarts keeps one more than that", () => {
    const stage = web(new Stage(), 7)
    expect(historyOf(stage.book.tables, stage.service("web"))).toBe(8)
  })

  test("TR-11 what the limit is counted by stays, however many other tasks the slot has", () => {
    const tasks = failing(web(new Stage(), 2), 3)
    const older = tasks.map((task, at) => ({
      ...task,
      ID: `older-${at}`,
      CreatedAt: "2020-01-01T00:00:00Z",
      SpecVersion: 0
    }))
    expect(tasks.length).toBe(3)
    expect(prune([...older, ...tasks], 3, 2).map(({ ID }) => ID)).toEqual(older.map(({ ID }) => ID))
    const lost = { ...tasks[2], ID: "lost", Status: { ...tasks[2]?.Status, State: "shutdown" } } as Task
    expect(prune([...tasks, lost], 3, 2)).toEqual([lost])
  })

  test("TR-12 the cluster's limit counts as it is now; Swarm's five where it does not say", () => {
    const stage = web(new Stage())
    expect(historyOf(stage.book.tables, stage.service("web"))).toBe(5)
    const version = stage.book.tables.cluster()?.Version.Index ?? 0
    const spec = { Orchestration: { TaskHistoryRetentionLimit: 2 } }
    stage.book.must({ type: "cluster.update", v: 1, version, spec })
    expect(historyOf(stage.book.tables, stage.service("web"))).toBe(2)
  })
})

describe("what nothing is remembered of", () => {
  test("TR-01 TR-05 a task to be removed goes once it has ended, not before", () => {
    const stage = web(new Stage())
    const [task] = stage.running("web")
    stage.stubborn.add(task?.ID ?? "")
    stage.scale("web", 0).converge()
    expect(isDisposable(stage.book.tables, stage.task(task?.ID ?? ""))).toBe(false)
    stage.report(task?.ID ?? "", "shutdown")
    expect(isDisposable(stage.book.tables, stage.task(task?.ID ?? ""))).toBe(true)
  })

  test("TR-02 TR-07 tasks of a vanished service go when they have ended", () => {
    const stage = web(new Stage())
    const tasks = failing(stage, 1)
    stage.book.must({ type: "service.remove", v: 1, id: "web" })
    expect(tasks.map((task) => isDisposable(stage.book.tables, task))).toEqual([true, false])
  })

  test("TR-03 history of a live service stays", () => {
    const stage = web(new Stage())
    const [dead] = failing(stage, 1)
    expect(isDisposable(stage.book.tables, dead as Task)).toBe(false)
  })

  test("TR-08 a task that never had a node goes as soon as it is not wanted", () => {
    const stage = web(new Stage([]))
    const [task] = stage.tasks("web")
    expect(isDisposable(stage.book.tables, stage.task(task?.ID ?? ""))).toBe(false)
    stage.scale("web", 0).look("web")
    expect(isDisposable(stage.book.tables, stage.task(task?.ID ?? ""))).toBe(true)
  })
})
