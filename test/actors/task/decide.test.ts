import { describe, expect, test } from "bun:test"
import type { ContainerState } from "#actors/drivers/executor.ts"
import { type TaskStatus, taskStates } from "#actors/model/objects.ts"
import { isBefore, isTerminal } from "#actors/model/task-state.ts"
import { decide, start } from "#actors/task/decide.ts"
import type { TaskAction, TaskMessage } from "#actors/task/protocol.ts"
import type { TaskWork } from "#actors/task/work.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { Fresh } from "#runtime/ids.ts"
import { aContainer, aMoment, aNetwork, aPursuit } from "#test/actors/task/build.ts"

/** A task to talk to: keeps its state, what it asked for in the last turn, and every status it reported. */
class Subject {
  state: TaskWork
  asked: ReadonlyArray<TaskAction | CommonAction> = []
  readonly reports: TaskStatus[] = []
  ended = false
  readonly #fresh = Fresh.from(7)
  #now = 1_000_000

  constructor() {
    const step = start(undefined, aMoment())
    this.state = step.state
  }

  tell(...messages: ReadonlyArray<TaskMessage>): this {
    for (const message of messages) {
      this.#now += 1_000
      const step = decide(this.state, message, aMoment(this.#now, this.#fresh))
      this.state = step.state
      this.asked = step.actions
      this.ended ||= step.ends === true
      for (const action of step.actions) {
        if (action._tag !== "Tell") continue
        const said = action.message as { _tag: string; status?: TaskStatus }
        if (said._tag === "Reported" && said.status) this.reports.push(said.status)
      }
    }
    return this
  }

  get states(): ReadonlyArray<string> {
    return this.reports.map(({ State }) => State)
  }

  get last(): TaskStatus | undefined {
    return this.reports.at(-1)
  }

  asks(tag: string): (TaskAction | CommonAction) | undefined {
    return this.asked.find(({ _tag }) => _tag === tag)
  }
}

const pulled: TaskMessage = { _tag: "Pulled" }
const created = (changes: Partial<ContainerState> = {}): TaskMessage => ({
  _tag: "Created",
  container: aContainer({ status: "created", pid: 0, ...changes })
})
const began = (changes: Partial<ContainerState> = {}): TaskMessage => ({
  _tag: "Began",
  container: aContainer(changes)
})
const died = (exitCode: number): TaskMessage => ({
  _tag: "Happened",
  event: { _tag: "Died", containerId: "k1", labels: {}, exitCode }
})
const health = (health: "healthy" | "unhealthy"): TaskMessage => ({
  _tag: "Happened",
  event: { _tag: "Health", containerId: "k1", labels: {}, health }
})
const refused = (
  step: TaskAction["_tag"],
  message: string,
  temporary = false,
  answered = true
): TaskMessage => ({ _tag: "Refused", step, message, temporary, answered })
const exited = (exitCode: number): ContainerState => aContainer({ status: "exited", pid: 0, exitCode })
const running = (changes = {}, spec = {}) =>
  new Subject().tell(aPursuit(changes, spec), pulled, created(), began())

describe("a task on its way up", () => {
  test("asks its session for its goal when it starts, because it remembers nothing", () => {
    const step = start(undefined, aMoment())
    expect(step.actions).toEqual([
      { _tag: "Tell", to: { home: "n1", kind: "session", id: "main" }, message: { _tag: "Awake", id: "t1" } }
    ])
  })

  test("DI-22 goes through Swarm's states in Swarm's words", () => {
    const task = new Subject().tell(aPursuit())
    expect(task.asks("Pull")).toEqual({ _tag: "Pull", image: "busybox:1" })
    task.tell(pulled)
    expect(task.asks("Create")).toMatchObject({ name: "web.1.t1" })
    task.tell(created())
    expect(task.asks("Start")).toEqual({ _tag: "Start", container: "k1" })
    task.tell(began())
    expect(task.reports.map(({ State, Message }) => [State, Message])).toEqual([
      ["accepted", "accepted"],
      ["preparing", "preparing"],
      ["ready", "prepared"],
      ["starting", "starting"],
      ["running", "started"]
    ])
    expect(task.last?.ContainerStatus).toEqual({ ContainerID: "k1", PID: 77, ExitCode: 0 })
  })

  test("waits in ready, with its container made, until it is to run", () => {
    const task = new Subject().tell(aPursuit({ desired: "ready" }), pulled, created())
    expect(task.last?.State).toBe("ready")
    expect(task.asks("Start")).toBeUndefined()
    task.tell(aPursuit({ desired: "running" }))
    expect(task.asks("Start")).toBeDefined()
  })

  test("makes its container only when both its image and its networks are there", () => {
    const plan = aNetwork({ name: "shop_default" })
    const task = new Subject().tell(
      aPursuit({ attachments: [{ NetworkID: "net1", Addresses: ["10.0.1.5/24"] }] }, {}, { networks: [plan] })
    )
    const need = task.asked.find(
      (action) => action._tag === "Tell" && (action.message as { _tag: string })._tag === "Need"
    )
    expect(need).toMatchObject({ to: { kind: "network" }, message: { taskId: "t1", plans: [plan] } })
    task.tell(pulled)
    expect(task.asks("Create")).toBeUndefined()
    task.tell({ _tag: "Networked", bridges: { net1: "engine-net-1" } })
    expect(task.asks("Create")).toMatchObject({
      request: {
        Networks: [{ networkId: "engine-net-1", endpoint: { IPAMConfig: { IPv4Address: "10.0.1.5" } } }]
      }
    })
  })

  test("asks for its networks again when nobody answers, and shows why it waits", () => {
    const plan = aNetwork()
    const task = new Subject().tell(
      aPursuit({ attachments: [{ NetworkID: "net1", Addresses: [] }] }, {}, { networks: [plan] }),
      pulled,
      { _tag: "Unnetworked", message: "the Engine did not answer in time", temporary: true }
    )
    expect(task.last).toMatchObject({ State: "preparing", Err: "the Engine did not answer in time" })
    task.tell({ _tag: "AskAgain" })
    expect(task.asked.some(({ _tag }) => _tag === "Tell")).toBe(true)
    task.tell({ _tag: "Unnetworked", message: "Pool overlaps with other one", temporary: false })
    expect(task.last).toMatchObject({ State: "rejected", Err: "Pool overlaps with other one" })
  })

  test("DI-22 is rejected with the Engine's words when the image is missing", () => {
    const task = new Subject().tell(aPursuit(), refused("Pull", "No such image: nosuch:latest"))
    expect(task.last).toMatchObject({
      State: "rejected",
      Message: "preparing",
      Err: "No such image: nosuch:latest"
    })
  })

  test("fails when its container cannot be started", () => {
    const task = new Subject().tell(
      aPursuit(),
      pulled,
      created(),
      refused("Start", 'exec: "nope": not found')
    )
    expect(task.last).toMatchObject({
      State: "failed",
      Err: 'starting container failed: exec: "nope": not found'
    })
  })

  test("looks before it tries to start again, because an unanswered start may have worked", () => {
    const task = new Subject().tell(aPursuit(), pulled, created())
    task.tell(refused("Start", "connection reset", true, false), { _tag: "Again" })
    expect(task.asks("Start")).toBeUndefined()
    expect(task.asks("Find")).toEqual({ _tag: "Find", container: "k1" })
    task.tell({ _tag: "Found", container: exited(137) })
    expect(task.last).toMatchObject({ State: "failed", Err: "task: non-zero exit (137)" })
  })

  test("starts again what a look shows to have never run", () => {
    const task = new Subject().tell(aPursuit(), pulled, created())
    task.tell(refused("Start", "connection reset", true, false), { _tag: "Again" })
    task.tell({ _tag: "Found", container: aContainer({ status: "created", pid: 0 }) })
    expect(task.asks("Start")).toEqual({ _tag: "Start", container: "k1" })
  })

  const refusedFiveTimes = (): Subject => {
    const task = new Subject().tell(aPursuit(), pulled, created())
    for (let tries = 0; tries < 5; tries++) {
      task.tell(refused("Start", "no space left on device", true))
      expect(task.state.status.State).toBe("starting")
      if (tries === 4) break
      task.tell({ _tag: "Again" }, { _tag: "Found", container: aContainer({ status: "created", pid: 0 }) })
    }
    return task
  }

  test("fails when its start is refused again and again and a last look shows that it never ran", () => {
    const task = refusedFiveTimes()
    expect(task.asks("Find")).toBeDefined()
    task.tell({ _tag: "Found", container: aContainer({ status: "created", pid: 0 }) })
    expect(task.last).toMatchObject({
      State: "failed",
      Err: "starting container failed: no space left on device"
    })
  })

  test("runs when the last look shows that it does, whatever the Engine said", () => {
    const task = refusedFiveTimes().tell({ _tag: "Found", container: aContainer() })
    expect(task.last).toMatchObject({ State: "running" })
  })

  test("tries again, each time later, while the Engine does not answer, and says why", () => {
    const task = new Subject().tell(aPursuit())
    const pauses: number[] = []
    for (let attempt = 0; attempt < 12; attempt++) {
      task.tell(refused("Pull", "Cannot talk to the Docker Engine", true, false))
      const pause = task.asks("Later")
      pauses.push(pause?._tag === "Later" ? pause.afterMs : -1)
      expect(task.state.status.State).toBe("preparing")
      task.tell({ _tag: "Again" })
      expect(task.asks("Pull")).toBeDefined()
    }
    expect(task.reports.filter(({ Err }) => Err === "Cannot talk to the Docker Engine")).toHaveLength(1)
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(100)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30_000)
    expect(pauses.at(-1)).toBeGreaterThan(pauses[0] ?? 0)
  })

  test("takes an Engine that keeps answering with errors at its word", () => {
    const task = new Subject().tell(aPursuit())
    for (let attempt = 0; attempt < 5; attempt++)
      task.tell(refused("Pull", "no space left on device", true), { _tag: "Again" })
    expect(task.last).toMatchObject({ State: "rejected", Err: "no space left on device" })
  })

  test("is rejected by name when a secret it refers to was not given to the node", () => {
    const task = new Subject().tell(
      aPursuit({}, { Secrets: [{ SecretID: "x", SecretName: "key", File: { Name: "key" } }] }),
      pulled
    )
    expect(task.last).toMatchObject({ State: "rejected", Err: "secret key was not given to this node" })
  })
})

describe("a task whose container ends", () => {
  test("is complete after exit code 0 and failed after any other", () => {
    expect(running().tell(died(0)).last).toMatchObject({ State: "complete", Message: "finished" })
    expect(running().tell(died(3)).last).toMatchObject({
      State: "failed",
      Message: "started",
      Err: "task: non-zero exit (3)",
      ContainerStatus: { ContainerID: "k1", PID: 0, ExitCode: 3 }
    })
  })

  test("hears of an end that overtook the answer of its start", () => {
    const task = new Subject().tell(aPursuit(), pulled, created(), died(2), began())
    expect(task.last).toMatchObject({ State: "failed", Err: "task: non-zero exit (2)" })
  })

  test("fails when somebody removed its container", () => {
    const task = running().tell({
      _tag: "Happened",
      event: { _tag: "Destroyed", containerId: "k1", labels: {} }
    })
    expect(task.last).toMatchObject({ State: "failed", Err: "dockerexec: container destroyed" })
  })

  test("makes another container when the first was removed before it ever ran", () => {
    const task = new Subject().tell(aPursuit({ desired: "ready" }), pulled, created(), {
      _tag: "Happened",
      event: { _tag: "Destroyed", containerId: "k1", labels: {} }
    })
    expect(task.asks("Create")).toBeDefined()
    expect(task.last?.State).toBe("ready")
  })

  test("puts its secrets away", () => {
    const spec = { Secrets: [{ SecretID: "x", SecretName: "key", File: { Name: "key" } }] }
    const secrets = { secrets: [{ id: "x", name: "key", data: "c2VjcmV0" }] }
    const task = new Subject().tell(aPursuit({}, spec, secrets), pulled, created(), began(), died(1))
    expect(task.asks("Wipe")).toBeDefined()
  })

  test("stops a container that somebody started again", () => {
    const task = running().tell(died(1), {
      _tag: "Happened",
      event: { _tag: "Started", containerId: "k1", labels: {} }
    })
    expect(task.asks("Stop")).toMatchObject({ container: "k1" })
    expect(task.last?.State).toBe("failed")
  })
})

describe("a task with a health check", () => {
  test("runs only from its first healthy answer on", () => {
    const task = new Subject().tell(aPursuit(), pulled, created(), began({ health: "starting" }))
    expect(task.last?.State).toBe("starting")
    expect(task.tell(health("healthy")).last?.State).toBe("running")
  })

  test("is stopped and fails when it turns unhealthy", () => {
    const task = running({}, { StopGracePeriod: 3e9 }).tell(health("unhealthy"))
    expect(task.asks("Stop")).toEqual({ _tag: "Stop", container: "k1", graceMs: 3_000 })
    expect(task.tell(died(137), { _tag: "Ceased", container: exited(137) }).last).toMatchObject({
      State: "failed",
      Err: "task: non-zero exit (137): dockerexec: unhealthy container"
    })
  })

  test("fails even when the unhealthy container says good-bye politely", () => {
    const task = running().tell(health("unhealthy"), { _tag: "Ceased", container: exited(0) })
    expect(task.last).toMatchObject({ State: "failed", Err: "dockerexec: unhealthy container" })
  })
})

describe("a task that is to stop", () => {
  test("DI-23 is shut down, whatever the exit code, and keeps its container", () => {
    const task = running().tell(aPursuit({ desired: "shutdown" }))
    expect(task.asks("Stop")).toEqual({ _tag: "Stop", container: "k1", graceMs: 10_000 })
    task.tell({ _tag: "Ceased", container: exited(143) })
    expect(task.last).toMatchObject({
      State: "shutdown",
      Message: "shutdown",
      ContainerStatus: { ExitCode: 143 }
    })
    expect(task.asks("Remove")).toBeUndefined()
  })

  test("does not wait for its image", () => {
    const task = new Subject().tell(aPursuit(), aPursuit({ desired: "shutdown" }))
    expect(task.asks("Stop")).toBeDefined()
    expect(task.tell({ _tag: "Ceased" }).last?.State).toBe("shutdown")
    expect(task.tell(pulled).asks("Create")).toBeUndefined()
  })

  test("is left to what it owes those who are connected before it is stopped, for as long as its service says", () => {
    const reached = { attachments: [{ NetworkID: "net", Addresses: ["10.0.1.5/24"] }] }
    const plan = {
      id: "net",
      name: "net",
      subnets: [],
      internal: false,
      attachable: false,
      ipv6: false,
      labels: {},
      options: {}
    }
    const up = (labels: Record<string, string>) =>
      new Subject().tell(
        aPursuit({ ...reached, labels }, {}, { networks: [plan] }),
        { _tag: "Networked", bridges: { net: "br" } },
        pulled,
        created(),
        began()
      )
    const task = up({}).tell(aPursuit({ ...reached, desired: "shutdown" }))
    expect(task.asked).toMatchObject([{ _tag: "Drain", pid: 77, withinMs: 5_000 }])
    task.tell({ _tag: "Drained" })
    expect(task.asks("Stop")).toBeDefined()
    // Asked once: what refuses to stop is stopped again, not waited for again.
    task.tell(refused("Stop", "busy", true), { _tag: "Again" })
    expect(task.asks("Stop")).toBeDefined()
    const labels = { "troupe.drain.timeout": "1m" }
    expect(up(labels).tell(aPursuit({ ...reached, labels, desired: "shutdown" })).asked).toMatchObject([
      { withinMs: 60_000 }
    ])
    const none = { "troupe.drain.timeout": "0s" }
    const hasty = up(none).tell(aPursuit({ ...reached, labels: none, desired: "shutdown" }))
    expect(hasty.asks("Stop")).toBeDefined()
    const sick = up({}).tell(health("unhealthy"))
    expect(sick.asks("Stop")).toBeDefined()
  })

  test("stops the container that was being made meanwhile", () => {
    const task = new Subject().tell(aPursuit(), pulled, aPursuit({ desired: "shutdown" }))
    expect(task.asks("Stop")).toBeUndefined()
    expect(task.tell(created()).asks("Stop")).toMatchObject({ container: "k1" })
  })

  test("keeps trying when the Engine refuses", () => {
    const task = running().tell(aPursuit({ desired: "shutdown" }))
    for (let attempt = 0; attempt < 20; attempt++) {
      task.tell(refused("Stop", "cannot stop", true), { _tag: "Again" })
      expect(task.asks("Stop")).toBeDefined()
    }
  })

  test("gives up a pause when a goal beyond running arrives", () => {
    const task = new Subject().tell(aPursuit(), refused("Pull", "later", true, false))
    expect(task.tell(aPursuit({ desired: "shutdown" })).asks("Stop")).toBeDefined()
  })

  test("removes everything and ends when it is to be forgotten", () => {
    const task = running().tell({ _tag: "Forget" })
    expect(task.asks("Remove")).toMatchObject({ container: "k1" })
    task.tell({ _tag: "Removed" })
    expect(task.ended).toBe(true)
    expect(task.asks("Tell")).toMatchObject({ message: { _tag: "Forgotten", id: "t1" } })
  })

  test("never goes back to a goal that it left behind", () => {
    const task = running().tell(aPursuit({ desired: "shutdown" }), aPursuit({ desired: "running" }))
    expect(task.state.goal).toBe("shutdown")
  })
})

describe("a task whose actor begins again", () => {
  test("adopts the container that runs and says nothing new", () => {
    const task = new Subject().tell(aPursuit({ state: "running" }))
    expect(task.asked).toEqual([{ _tag: "Find", container: "web.1.t1" }])
    task.tell({ _tag: "Found", container: aContainer() })
    expect(task.asked).toEqual([])
    expect(task.reports).toEqual([])
    expect(task.tell(died(4)).last).toMatchObject({ State: "failed", Message: "started" })
  })

  test("reports the end that came while nobody watched", () => {
    const task = new Subject().tell(aPursuit({ state: "running" }), { _tag: "Found", container: exited(9) })
    expect(task.last).toMatchObject({ State: "failed", Err: "task: non-zero exit (9)" })
  })

  test("does not run a second time when its container is gone", () => {
    const task = new Subject().tell(aPursuit({ state: "running" }), { _tag: "Found" })
    expect(task.last).toMatchObject({ State: "failed", Err: "dockerexec: container destroyed" })
    expect(task.asks("Create")).toBeUndefined()
  })

  test("stops what still runs of a task that the leader gave up", () => {
    const task = new Subject().tell(aPursuit({ state: "orphaned", desired: "shutdown" }))
    expect(task.asks("Find")).toBeDefined()
    expect(task.tell({ _tag: "Found", container: aContainer() }).asks("Stop")).toBeDefined()
  })

  test("adopts a container that it made before the crash", () => {
    const task = new Subject().tell(aPursuit({ state: "preparing" }), pulled, created({ status: "running" }))
    expect(task.states).toEqual(["running"])
  })
})

describe("a survey", () => {
  test("makes a task look for its container before it believes that it is gone", () => {
    const task = running().tell({ _tag: "Observed" })
    expect(task.asks("Find")).toBeDefined()
    expect(task.tell({ _tag: "Found", container: aContainer() }).last?.State).toBe("running")
    expect(task.tell({ _tag: "Observed" }, { _tag: "Found" }).last?.State).toBe("failed")
  })

  test("repeats what was reported, in case it was lost", () => {
    const task = running()
    task.tell({ _tag: "Observed", container: aContainer() })
    expect(task.asked).toEqual([
      {
        _tag: "Tell",
        to: { home: "n1", kind: "session", id: "main" },
        message: { _tag: "Reported", id: "t1", status: task.state.status }
      }
    ])
  })

  test("tells of an end that nobody announced", () => {
    const task = running().tell({ _tag: "Observed", container: exited(1) })
    expect(task.last?.State).toBe("failed")
  })

  test("that is older than what is known changes nothing", () => {
    const task = running().tell({ _tag: "Observed", container: aContainer({ status: "created" }) })
    expect(task.state.container?.status).toBe("running")
  })
})

describe("whatever comes in whatever order", () => {
  const pool = (fresh: Fresh): TaskMessage => {
    const pick = <T>(items: ReadonlyArray<T>): T => items[fresh.below(items.length)] as T
    const container = aContainer({
      id: pick(["k1", "k1", "k1", "k2"]),
      status: pick(["created", "running", "running", "exited"]),
      exitCode: pick([0, 1, 137]),
      ...(fresh.below(3) === 0 && { health: pick(["starting", "healthy", "unhealthy"] as const) })
    })
    const maybe = fresh.below(4) === 0 ? {} : { container }
    const event = { containerId: container.id, labels: {} }
    return pick<TaskMessage>([
      aPursuit({
        desired: pick(["ready", "running", "running", "complete", "shutdown", "remove"]),
        state: pick(["assigned", "preparing", "running", "failed", "orphaned"])
      }),
      aPursuit(),
      { _tag: "Happened", event: { _tag: "Died", ...event, exitCode: container.exitCode } },
      { _tag: "Happened", event: { _tag: "Started", ...event } },
      { _tag: "Happened", event: { _tag: "Destroyed", ...event } },
      {
        _tag: "Happened",
        event: { _tag: "Health", ...event, health: pick(["healthy", "unhealthy", "starting"]) }
      },
      { _tag: "Observed", ...maybe },
      { _tag: "Found", ...maybe },
      { _tag: "Pulled" },
      { _tag: "Created", container },
      { _tag: "Began", container },
      { _tag: "Ceased", ...maybe },
      refused(
        pick(["Pull", "Create", "Start", "Stop", "Remove", "Find"]),
        "no",
        fresh.below(2) === 0,
        fresh.below(2) === 0
      ),
      { _tag: "Again" },
      { _tag: "AskAgain" },
      { _tag: "Networked", bridges: {} },
      ...(fresh.below(20) === 0 ? [{ _tag: "Forget" } as const] : [])
    ])
  }

  test("no reported state ever goes back, and nothing follows an end (500 seeds)", () => {
    for (let seed = 1; seed <= 500; seed++) {
      const fresh = Fresh.from(seed)
      const task = new Subject()
      for (let step = 0; step < 60 && !task.ended; step++) task.tell(pool(fresh))
      for (const [at, { State }] of task.reports.entries()) {
        const before = task.reports[at - 1]?.State
        if (before === undefined) continue
        const wentBack = isBefore(State, before)
        const followedEnd = isTerminal(before) && State !== before
        if (wentBack || followedEnd) throw new Error(`seed ${seed}: ${task.states.join(" → ")}`)
      }
      for (const state of task.states) expect(taskStates).toContain(state as (typeof taskStates)[number])
    }
  })

  test("one action is underway at a time, beside a pull (300 seeds)", () => {
    const answers = {
      ...{ Find: "Found", Create: "Created", Start: "Began" },
      ...{ Drain: "Drained", Stop: "Ceased", Remove: "Removed" }
    }
    for (let seed = 1; seed <= 300; seed++) {
      const fresh = Fresh.from(seed)
      const task = new Subject()
      for (let step = 0; step < 60 && !task.ended; step++) {
        const before = task.state.doing
        const message = pool(fresh)
        task.tell(message)
        const begun = task.asked.filter(({ _tag }) => _tag in answers)
        expect(begun.length).toBeLessThanOrEqual(1)
        if (before !== undefined && begun.length > 0)
          expect(["Refused", answers[before]]).toContain(message._tag)
      }
    }
  })

  test("saying everything twice changes nothing that is reported (300 seeds)", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const fresh = Fresh.from(seed)
      const [once, twice] = [new Subject(), new Subject()]
      const goals = ["ready", "running", "shutdown"] as const
      for (let step = 0; step < 30; step++) {
        const message =
          fresh.below(3) === 0
            ? aPursuit({ desired: goals[fresh.below(3)] ?? "running" })
            : died(fresh.below(2))
        once.tell(message)
        twice.tell(message, message)
        for (const subject of [once, twice]) follow(subject, step)
      }
      expect(twice.states).toEqual(once.states)
    }
  })
})

/** Answers the one action underway the way a healthy Engine does. */
function follow(task: Subject, step: number): void {
  if (task.state.pull === "underway") task.tell(pulled)
  const { doing } = task.state
  if (step % 2 === 0 || doing === undefined) return
  if (doing === "Create") task.tell(created())
  if (doing === "Start") task.tell(began())
  if (doing === "Stop") task.tell({ _tag: "Ceased", container: exited(0) })
  if (doing === "Find") task.tell({ _tag: "Found" })
}

describe("a task with cluster volumes", () => {
  const volumes = [{ ID: "v1", Source: "data", Target: "/data" }]
  const mounts = { Mounts: [{ Type: "cluster" as const, Source: "data", Target: "/data" }] }
  const asksForMounts = (task: Subject) =>
    task.asked.some((action) => action._tag === "Tell" && action.to.kind === "mounts")

  test("DI-16 makes no container before they are mounted, says what they wait for, and asks again", () => {
    const task = new Subject().tell(aPursuit({ volumes }, mounts))
    expect(task.asked).toContainEqual(
      expect.objectContaining({ message: { _tag: "Need", taskId: "t1", volumes: ["v1"] } })
    )
    task.tell(pulled)
    expect(task.asks("Create")).toBeUndefined()
    task.tell({ _tag: "NotMounted", message: "no such device" })
    expect(task.last).toMatchObject({ State: "preparing", Err: "no such device" })
    expect(asksForMounts(task.tell({ _tag: "AskForMounts" }))).toBe(true)
    task.tell({ _tag: "Mounted", points: { v1: { path: "/m/v1", block: false } } })
    expect(task.asks("Create")).toMatchObject({
      request: { HostConfig: { Mounts: [{ Type: "bind", Source: "/m/v1", Target: "/data" }] } }
    })
    expect(asksForMounts(task.tell(created(), began()))).toBe(false)
  })

  test("ends while it waits when it is told to", () => {
    const task = new Subject().tell(aPursuit({ volumes }, mounts), pulled)
    task.tell(aPursuit({ volumes, desired: "shutdown" }, mounts))
    task.tell({ _tag: "Ceased" }, { _tag: "Mounted", points: { v1: { path: "/m/v1", block: false } } })
    expect(task.last?.State).toBe("shutdown")
    expect(task.asks("Create")).toBeUndefined()
  })
})
