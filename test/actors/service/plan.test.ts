import { describe, expect, test } from "bun:test"
import type { Service, Task } from "#actors/model/objects.ts"
import type { RestartPolicy, ServiceSpec, UpdateConfig } from "#actors/model/spec.ts"
import { attemptsOf, historyOf, prune } from "#actors/service/prune.ts"
import { reconcile } from "#actors/service/reconcile.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { Stage, seconds } from "#test/support/stage.ts"

const image = (spec: ServiceSpec, Image: string): ServiceSpec => ({
  ...spec,
  TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image } }
})

interface Options {
  readonly replicas?: number
  readonly update?: UpdateConfig
  readonly rollback?: UpdateConfig
  readonly nodes?: ReadonlyArray<string>
  readonly condition?: "none" | "any"
}

function stageOf({ replicas = 3, update, rollback, nodes = ["n1"], condition }: Options = {}): Stage {
  return new Stage(nodes).create("web", {
    Mode: { Replicated: { Replicas: replicas } },
    TaskTemplate: {
      ContainerSpec: { Image: "one" },
      ...(condition === undefined ? {} : { RestartPolicy: { Condition: condition } })
    },
    ...(update === undefined ? {} : { UpdateConfig: update }),
    ...(rollback === undefined ? {} : { RollbackConfig: rollback })
  })
}

const to = (stage: Stage, name: string): Stage => {
  stage.book.time += 10
  return stage.update("web", (spec) => image(spec, name))
}
const imageOf = (stage: Stage, task: Task): string | undefined =>
  stage.book.tables.taskSpec(task.ServiceID, task.SpecVersion)?.ContainerSpec?.Image
const images = (stage: Stage): ReadonlyArray<string | undefined> =>
  stage.running("web").map((task) => imageOf(stage, task))
const status = (stage: Stage) => stage.service("web").UpdateStatus

/** Fails the tasks of an image as soon as they run, `most` of them. */
function failing(stage: Stage, name: string, most = 1): ReadonlyArray<string> {
  const victims = stage
    .running("web")
    .filter((task) => imageOf(stage, task) === name)
    .slice(0, most)
    .map(({ ID }) => ID)
  for (const id of victims) stage.report(id, "failed")
  return victims
}

describe("a rolling update", () => {
  test("UP-01 replaces every task, each new one carrying the new image", () => {
    const stage = to(stageOf(), "two").pass(60_000)
    expect(images(stage)).toEqual(["two", "two", "two"])
    expect(stage.running("web").map((task) => task.Slot)).toEqual([1, 2, 3])
    expect(status(stage)).toMatchObject({ State: "completed", Message: "update completed" })
  })

  test("says that it is in progress before anything else changes", () => {
    const stage = to(stageOf(), "two")
    stage.look("web")
    expect(status(stage)).toMatchObject({ State: "updating", Message: "update in progress" })
  })

  test("UP-03 parallelism 0 takes all slots at once", () => {
    const stage = to(stageOf({ replicas: 5, update: { Parallelism: 0 } }), "two")
    stage.look("web")
    expect(stage.tasks("web").filter((task) => imageOf(stage, task) === "two")).toHaveLength(5)
  })

  test("UP-03 parallelism 1 with a delay goes one after another", () => {
    const stage = to(stageOf({ update: { Parallelism: 1, Delay: seconds(10) } }), "two").converge()
    expect(images(stage).filter((name) => name === "two")).toHaveLength(1)
    stage.pass(9_900)
    expect(images(stage).filter((name) => name === "two")).toHaveLength(1)
    stage.pass(200)
    expect(images(stage).filter((name) => name === "two")).toHaveLength(2)
    stage.pass(10_000)
    expect(images(stage)).toEqual(["two", "two", "two"])
  })

  test("without a config it takes one slot at a time", () => {
    const stage = to(stageOf(), "two")
    stage.look("web")
    expect(stage.tasks("web").filter((task) => imageOf(stage, task) === "two")).toHaveLength(1)
  })

  test("UP-04 UP-05 start-first runs the new task before it ends the old", () => {
    const stage = to(stageOf({ replicas: 2, update: { Parallelism: 0, Order: "start-first" } }), "two")
    stage.look("web")
    stage.place()
    expect(stage.wanted("web")).toHaveLength(4)
    expect(images(stage)).toEqual(["one", "one"])
    stage.pass(10_000)
    expect(images(stage)).toEqual(["two", "two"])
    const old = stage.tasks("web").filter((task) => imageOf(stage, task) === "one")
    expect(old.map((task) => task.DesiredState)).toEqual(["shutdown", "shutdown"])
  })

  test("stop-first never runs old and new of a slot together", () => {
    const stage = to(stageOf({ replicas: 1 }), "two")
    const [old] = stage.running("web")
    stage.stubborn.add(old?.ID ?? "")
    stage.converge()
    expect(stage.wanted("web").map((task) => task.DesiredState)).toEqual(["ready"])
    stage.report(old?.ID ?? "", "shutdown").converge()
    expect(images(stage)).toEqual(["two"])
  })

  test("nor does a rollback whose slots have no task left that is wanted", () => {
    const stage = stageOf({ replicas: 1, update: { FailureAction: "rollback" }, condition: "none" })
    const [old] = stage.running("web")
    stage.stubborn.add(old?.ID ?? "")
    to(stage, "two").converge()
    stage.report(stage.wanted("web")[0]?.ID ?? "", "rejected").converge()
    expect(status(stage)?.State).toBe("rollback_started")
    expect(stage.wanted("web").map((task) => task.DesiredState)).toEqual(["ready"])
    stage.report(old?.ID ?? "", "shutdown").converge()
    expect(images(stage)).toEqual(["one"])
  })

  test("an old task that is due to run in the very look that replaces it is not started any more", () => {
    const stage = stageOf({ replicas: 1 })
    stage.report(stage.running("web")[0]?.ID ?? "", "failed").converge()
    const [waiting] = stage.wanted("web")
    expect(waiting?.DesiredState).toBe("ready")
    stage.book.time += 5_000
    stage.book.changes()
    to(stage, "two").look("web")
    const wishes = stage.book
      .changes()
      .changes.flatMap((change) =>
        change.kind === "task" && change.after?.ID === waiting?.ID ? [change.after?.DesiredState] : []
      )
    expect(wishes).toEqual(["shutdown"])
  })

  test("the successor of a task that no node has waits, because a node may be given it meanwhile", () => {
    const stage = to(new Stage([]).create("web", { Mode: { Replicated: { Replicas: 1 } } }), "two")
    expect(stage.tasks("web").map(({ Status }) => Status.State)).toEqual(["pending"])
    const view = {
      ledger: stage.book.tables,
      service: stage.service("web"),
      now: stage.now,
      written: stage.now,
      fresh: Fresh.from(1),
      sightings: new Map(),
      watchingSince: stage.now
    }
    expect(reconcile(view).create.map(({ DesiredState }) => DesiredState)).toEqual(["ready"])
    stage.look("web")
    expect(stage.tasks("web").map(({ DesiredState }) => DesiredState)).toEqual(["shutdown", "running"])
  })

  test("start-first keeps one old task of a slot when one update overtakes another", () => {
    const stage = stageOf({ replicas: 1, update: { Order: "start-first" } })
    const [first] = stage.running("web")
    for (const name of ["two", "three", "four"]) {
      to(stage, name).look("web")
      for (const task of stage.wanted("web")) if (task.ID !== first?.ID) stage.stubborn.add(task.ID)
      stage.converge()
      expect(stage.wanted("web").map((task) => imageOf(stage, task))).toEqual(["one", name])
    }
  })

  test("UP-11 an old task that does not stop holds its slot up for a minute only", () => {
    const stage = to(stageOf({ replicas: 1 }), "two")
    stage.stubborn.add(stage.running("web")[0]?.ID ?? "")
    stage.pass(59_000)
    expect(stage.wanted("web").map((task) => task.DesiredState)).toEqual(["ready"])
    stage.pass(2_000)
    expect(stage.wanted("web").map((task) => task.DesiredState)).toEqual(["running"])
  })

  test("UP-16 is complete only when the last batch was watched for the monitor period", () => {
    const stage = to(stageOf({ update: { Parallelism: 0, Monitor: seconds(7) } }), "two").converge()
    stage.pass(6_900)
    expect(status(stage)?.State).toBe("updating")
    stage.pass(200)
    expect(status(stage)?.State).toBe("completed")
  })

  test("UP-23 with a delay longer than the monitor period it watches for the delay and a second", () => {
    const stage = to(
      stageOf({ replicas: 1, update: { Parallelism: 1, Delay: seconds(8), Monitor: seconds(5) } }),
      "two"
    ).converge()
    stage.pass(16_900)
    expect(status(stage)?.State).toBe("updating")
    stage.pass(200)
    expect(status(stage)?.State).toBe("completed")
  })

  test("UP-17 an update during an update goes on from the newest spec", () => {
    const stage = to(stageOf({ update: { Parallelism: 1, Delay: seconds(10) } }), "two").converge()
    to(stage, "three").pass(60_000)
    expect(images(stage)).toEqual(["three", "three", "three"])
    expect(status(stage)?.State).toBe("completed")
  })

  test("a new leader carries on where the last one stopped", () => {
    const stage = to(stageOf({ update: { Parallelism: 1, Delay: seconds(10) } }), "two").converge()
    stage.pass(5_000).forget("web").pass(1_000)
    expect(images(stage).filter((name) => name === "two")).toHaveLength(1)
    stage.pass(60_000)
    expect(images(stage)).toEqual(["two", "two", "two"])
    expect(status(stage)?.State).toBe("completed")
  })

  test("scaling up while it runs adds tasks of the new spec and completes", () => {
    const stage = to(stageOf({ update: { Parallelism: 1, Delay: seconds(10) } }), "two").converge()
    stage.scale("web", 5).pass(90_000)
    expect(images(stage)).toEqual(["two", "two", "two", "two", "two"])
    expect(status(stage)?.State).toBe("completed")
  })
})

describe("what an update is not held up by", () => {
  test("an old task that fails while its successor comes up is not made again", () => {
    const stage = to(stageOf({ replicas: 1, update: { Order: "start-first" } }), "two")
    stage.look("web")
    stage.place()
    const [old] = stage.running("web")
    stage.report(old?.ID ?? "", "failed").look("web")
    expect(stage.tasks("web")).toHaveLength(2)
    stage.pass(10_000)
    expect(images(stage)).toEqual(["two"])
  })

  test("tasks of new slots that find no place do not count as slots under way", () => {
    const stage = to(stageOf({ replicas: 2, update: { Parallelism: 1 } }), "two")
    stage.scale("web", 4).look("web")
    for (const task of stage.tasks("web")) if ((task.Slot ?? 0) > 2) stage.stubborn.add(task.ID)
    stage.pass(20_000)
    expect(images(stage)).toEqual(["two", "two"])
    expect(status(stage)?.State).toBe("completed")
  })
})

/** What its history has no room for goes. */
function reap({ book }: Stage, tasks: ReadonlyArray<Task>, service: Service): void {
  const remove = prune(tasks, historyOf(book.tables, service), attemptsOf(service)).map(({ ID }) => ID)
  book.must({ type: "tasks.change", v: 1, create: [], update: [], remove })
}

describe("a start-first update that goes on after failures", () => {
  const goesOn = (policy: RestartPolicy, history = 5) => {
    const stage = new Stage(
      ["n1"],
      new Book().cluster({ Spec: { Orchestration: { TaskHistoryRetentionLimit: history } } })
    ).create("web", {
      Mode: { Replicated: { Replicas: 1 } },
      TaskTemplate: { ContainerSpec: { Image: "one" }, RestartPolicy: policy },
      UpdateConfig: { Order: "start-first", FailureAction: "continue" }
    })
    return to(stage, "two")
  }
  /** New tasks end so before anybody sees them run; how many there were is returned. */
  const ends = (stage: Stage, state: "failed" | "complete"): number => {
    const ended = new Set<string>()
    for (let turn = 0; turn < 60; turn++) {
      stage.lookAll()
      stage.place()
      for (const task of stage.wanted("web")) {
        if (imageOf(stage, task) !== "two" || task.DesiredState !== "running") continue
        if (task.Status.State !== "assigned") continue
        stage.report(task.ID, state)
        ended.add(task.ID)
      }
      for (const task of stage.tasks("web")) {
        const isOver = task.DesiredState === "shutdown" && task.Status.State === "running"
        if (isOver) stage.report(task.ID, "shutdown")
      }
      reap(stage, stage.tasks("web"), stage.service("web"))
      stage.book.time += 1_000
    }
    return ended.size
  }

  for (const [policy, tries] of [
    [{ Condition: "none" }, 1],
    [{ Condition: "on-failure", MaxAttempts: 2, Delay: seconds(1) }, 3]
  ] as const) {
    for (const history of [1, 5]) {
      test(`makes no more tries than ${JSON.stringify(policy)} allows, and leaves the old task (history ${history})`, () => {
        const stage = goesOn(policy, history)
        expect(ends(stage, "failed")).toBe(tries)
        expect(images(stage)).toEqual(["one"])
        expect(status(stage)?.State).toBe("completed")
        stage.forget("web").update("web", (spec) => ({ ...spec, Labels: { team: "blue" } }))
        expect(ends(stage, "failed")).toBe(0)
      })
    }
  }

  test("ends the old task where the new one has done its work", () => {
    const stage = goesOn({ Condition: "on-failure" })
    expect(ends(stage, "complete")).toBe(1)
    expect(stage.wanted("web")).toEqual([])
    expect(status(stage)?.State).toBe("completed")
  })
})

describe("what is no update", () => {
  const untouched = (change: (spec: ServiceSpec) => ServiceSpec): void => {
    const stage = stageOf()
    const before = stage.tasks("web")
    stage.update("web", change).pass(20_000)
    expect(stage.tasks("web")).toEqual(before)
    expect(status(stage)).toBeUndefined()
  }

  test("UP-22 a change of the service's labels restarts nothing", () => {
    untouched((spec) => ({ ...spec, Labels: { team: "blue" } }))
  })

  test("UP-07 placement constraints that are still met restart nothing", () => {
    untouched((spec) => ({
      ...spec,
      TaskTemplate: { ...spec.TaskTemplate, Placement: { Constraints: ["node.role == worker"] } }
    }))
  })

  test("a task that found no node by the old constraints looks by the new ones", () => {
    const nowhere = { Constraints: ["node.labels.zone == nowhere"] }
    const stage = new Stage().create("web", {
      Mode: { Replicated: { Replicas: 2 } },
      TaskTemplate: { ContainerSpec: { Image: "one" }, Placement: nowhere }
    })
    expect(stage.running("web")).toEqual([])
    stage
      .update("web", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, Placement: {} } }))
      .pass(20_000)
    expect(stage.running("web")).toHaveLength(2)
  })

  test("UP-06 other registry credentials replace no running task; one that stopped is replaced", () => {
    const stage = stageOf()
    const before = stage.running("web").map((task) => task.ID)
    const { Version, Spec } = stage.service("web")
    const changed = { v: 1, id: "web", version: Version.Index, spec: Spec } as const
    stage.book.must({ type: "service.update", ...changed, registryAuth: "others" })
    stage.pass(20_000)
    expect(stage.running("web").map((task) => task.ID)).toEqual(before)
    expect(status(stage)).toBeUndefined()
    stage.report(before[0] ?? "", "failed").pass(20_000)
    expect(stage.running("web")).toHaveLength(3)
    expect(stage.running("web").map((task) => task.ID)).not.toContain(before[0])
  })

  test("UP-20 scaling starts no update", () => {
    const stage = stageOf()
    stage.scale("web", 5).pass(10_000)
    expect(status(stage)).toBeUndefined()
    stage.scale("web", 2).pass(10_000)
    expect(status(stage)).toBeUndefined()
  })

  test("UP-24 a template that came back to what the tasks have restarts nothing", () => {
    const stage = stageOf()
    const before = stage.running("web").map((task) => task.ID)
    to(stage, "two")
    to(stage, "one").pass(20_000)
    expect(stage.running("web").map((task) => task.ID)).toEqual(before)
  })

  test("UP-21 the force-update counter alone restarts everything", () => {
    const stage = stageOf({ update: { Parallelism: 0 } })
    const before = new Set(stage.running("web").map((task) => task.ID))
    stage
      .update("web", (spec) => ({ ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 } }))
      .pass(10_000)
    expect(stage.running("web")).toHaveLength(3)
    expect(stage.running("web").some((task) => before.has(task.ID))).toBe(false)
  })
})

describe("failure", () => {
  test("UP-08 pause: the first failure within the monitor period stops the update and is named", () => {
    const stage = to(
      stageOf({ replicas: 4, update: { Parallelism: 1, Delay: seconds(1) } }),
      "two"
    ).converge()
    const [victim] = failing(stage, "two")
    stage.pass(30_000)
    expect(status(stage)).toMatchObject({
      State: "paused",
      Message: `update paused due to failure or early termination of task ${victim}`
    })
    expect(images(stage).filter((name) => name === "one")).toHaveLength(3)
  })

  test("a task that is rejected before it ever runs pauses the update too", () => {
    const stage = to(stageOf({ update: { Parallelism: 1 } }), "two")
    stage.look("web")
    stage.place()
    const fresh = stage.wanted("web").find((task) => imageOf(stage, task) === "two")
    stage.report(fresh?.ID ?? "", "rejected", { Err: "No such image: two" }).pass(30_000)
    expect(status(stage)?.State).toBe("paused")
    expect(images(stage).filter((name) => name === "one")).toHaveLength(2)
  })

  test("a failure after the monitor period is no failure of the update", () => {
    const stage = to(
      stageOf({ update: { Parallelism: 1, Delay: seconds(20), Monitor: seconds(2) } }),
      "two"
    ).converge()
    stage.pass(22_500)
    failing(stage, "two")
    stage.pass(120_000)
    expect(status(stage)?.State).toBe("completed")
  })

  test("UP-09 a paused update stays paused until the service is updated again", () => {
    const stage = to(stageOf({ update: { Parallelism: 1, Delay: seconds(1) } }), "two").converge()
    failing(stage, "two")
    stage.pass(120_000).forget("web").pass(10_000)
    expect(status(stage)?.State).toBe("paused")
    to(stage, "three").pass(60_000)
    expect(images(stage)).toEqual(["three", "three", "three"])
    expect(status(stage)?.State).toBe("completed")
  })

  test("UP-10 continue: failures are ignored and all slots get new tasks", () => {
    const stage = to(
      stageOf({ update: { Parallelism: 1, Delay: seconds(1), FailureAction: "continue" } }),
      "two"
    ).converge()
    failing(stage, "two")
    stage.pass(60_000)
    expect(images(stage)).toEqual(["two", "two", "two"])
    expect(status(stage)?.State).toBe("completed")
  })

  test("UP-12 the action comes when failures exceed the ratio: 0.4 of four slots is the second failure", () => {
    const stage = to(
      stageOf({ replicas: 4, update: { Parallelism: 1, Delay: seconds(2), MaxFailureRatio: 0.4 } }),
      "two"
    ).converge()
    failing(stage, "two")
    stage.pass(2_100)
    expect(status(stage)?.State).toBe("updating")
    expect(failing(stage, "two")).toHaveLength(1)
    stage.converge()
    expect(status(stage)?.State).toBe("paused")
  })
})

describe("rollback", () => {
  test("UP-13 failure action rollback brings the previous spec back and says so", () => {
    const stage = to(
      stageOf({ update: { Parallelism: 1, Delay: seconds(1), FailureAction: "rollback" } }),
      "two"
    ).converge()
    const [victim] = failing(stage, "two")
    stage.converge()
    expect(status(stage)).toMatchObject({
      State: "rollback_started",
      Message: `update rolled back due to failure or early termination of task ${victim}`
    })
    stage.pass(60_000)
    expect(status(stage)).toMatchObject({ State: "rollback_completed", Message: "rollback completed" })
    expect(images(stage)).toEqual(["one", "one", "one"])
  })

  test("does not wait for the restart delay of the spec that failed", () => {
    const stage = to(stageOf({ replicas: 2, update: { Parallelism: 1, FailureAction: "rollback" } }), "two")
    stage.converge()
    const [victim = ""] = failing(stage, "two")
    stage.converge()
    expect(status(stage)?.State).toBe("rollback_started")
    // No time has gone by.
    expect(images(stage)).toEqual(["one", "one"])
    expect(stage.task(victim).Status.State).toBe("failed")
  })

  test("UP-14 failures of the rollback itself pause it", () => {
    const stage = to(
      stageOf({
        replicas: 2,
        update: { Parallelism: 0, FailureAction: "rollback" },
        rollback: { Parallelism: 1 }
      }),
      "two"
    ).converge()
    failing(stage, "two")
    stage.book.time += 10
    stage.converge()
    expect(status(stage)?.State).toBe("rollback_started")
    for (let i = 0; i < 60 && failing(stage, "one").length === 0; i++) stage.pass(200)
    stage.converge()
    expect(status(stage)?.State).toBe("rollback_paused")
    expect(status(stage)?.Message).toStartWith("rollback paused due to failure or early termination of task")
  })

  test("UP-15 a rollback goes by its own config", () => {
    const stage = to(
      stageOf({ replicas: 4, update: { Parallelism: 1 }, rollback: { Parallelism: 0 } }),
      "two"
    ).pass(60_000)
    expect(images(stage)).toEqual(["two", "two", "two", "two"])
    const service = stage.service("web")
    stage.book.must({
      type: "service.update",
      v: 1,
      id: "web",
      version: service.Version.Index,
      spec: service.Spec,
      rollback: "previous"
    })
    stage.look("web")
    const fresh = stage.wanted("web").filter((task) => task.DesiredState === "ready")
    expect(fresh.map((task) => imageOf(stage, task))).toEqual(["one", "one", "one", "one"])
    stage.pass(20_000)
    expect(status(stage)?.State).toBe("rollback_completed")
  })

  test("UP-18 an automatic rollback uses the previous spec up", () => {
    const stage = to(stageOf({ update: { FailureAction: "rollback" } }), "two").converge()
    failing(stage, "two")
    stage.converge()
    expect(stage.service("web").PreviousSpec).toBeUndefined()
  })

  test("an update that fails is paused where another service has meanwhile what the spec before had", () => {
    const port = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } }
    const stage = new Stage().create("web", { ...port, UpdateConfig: { FailureAction: "rollback" } })
    stage.book.time += 10
    stage.update("web", ({ EndpointSpec: _, ...spec }) => image(spec, "two"))
    stage.create("other", port)
    const [victim] = failing(stage, "two")
    stage.converge()
    expect(status(stage)).toMatchObject({
      State: "paused",
      Message: `update paused due to failure or early termination of task ${victim}; cannot roll back: port '8080' is already in use by service 'other' (other) as an ingress port`
    })
    expect(stage.service("web").Spec.EndpointSpec).toBeUndefined()
  })

  test("a rollback also fills slots that had stopped for good before the update", () => {
    const stage = stageOf({
      replicas: 2,
      condition: "none",
      update: { Parallelism: 1, FailureAction: "rollback" }
    })
    const second = stage.running("web").find((task) => task.Slot === 2)
    stage.report(second?.ID ?? "", "failed").converge()
    to(stage, "two")
    stage.look("web")
    stage.place()
    stage.work()
    stage.look("web")
    stage.work()
    expect(failing(stage, "two")).toHaveLength(1)
    stage.pass(30_000)
    expect(status(stage)?.State).toBe("rollback_completed")
    expect(images(stage)).toEqual(["one", "one"])
  })

  test("a rollback also fills slots that stopped for good during the update", () => {
    const stage = to(
      stageOf({
        replicas: 2,
        condition: "none",
        update: { Parallelism: 0, FailureAction: "rollback", Monitor: seconds(5) }
      }),
      "two"
    ).converge()
    failing(stage, "two", 2)
    stage.pass(30_000)
    expect(images(stage)).toEqual(["one", "one"])
  })
})

test("publishing a first port gives every task its way in, by a rolling update", () => {
  const stage = stageOf({ update: { Parallelism: 0 } })
  stage.book.network("ingress-id", "ingress", { Ingress: true })
  stage.converge()
  stage
    .update("web", (spec) => ({
      ...spec,
      EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 }] }
    }))
    .pass(20_000)
  expect(stage.running("web")).toHaveLength(3)
  for (const task of stage.running("web")) {
    expect(task.Attachments?.map(({ NetworkID }) => NetworkID)).toEqual(["ingress-id"])
  }
  expect(status(stage)?.State).toBe("completed")
})

test("a changed host port restarts every task once, and a later scaling restarts none", () => {
  const stage = stageOf({ update: { Parallelism: 0 } })
  const before = new Set(stage.running("web").map((task) => task.ID))
  stage.book.time += 10
  stage
    .update("web", (spec) => ({
      ...spec,
      EndpointSpec: { Ports: [{ TargetPort: 80, PublishMode: "host" }] }
    }))
    .pass(20_000)
  const after = stage.running("web").map((task) => task.ID)
  expect(after.some((id) => before.has(id))).toBe(false)
  expect(status(stage)?.State).toBe("completed")
  stage.scale("web", 4).pass(20_000)
  expect(
    stage
      .running("web")
      .map((task) => task.ID)
      .slice(0, 3)
  ).toEqual(after)
  expect(status(stage)).toBeUndefined()
})
