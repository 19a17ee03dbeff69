/** What the dashboard holds to be wrong. */
import { expect, test } from "bun:test"
import { type Alert, count, judge, progressOf, standingOf } from "#cli/dashboard/page/judge.ts"
import type { Node, Service, Task } from "#cli/dashboard/page/objects.ts"

const now = "2026-11-28T04:00:00Z"
const nowMs = Date.parse(now)
const minutesAgo = (minutes: number): string => new Date(nowMs - minutes * 60_000).toISOString()

const service = (more: Partial<Service> & { readonly mode?: Service["Spec"]["Mode"] } = {}): Service => ({
  ID: "s1",
  Version: { Index: 1 },
  UpdatedAt: now,
  Spec: { Name: "web", Mode: more.mode ?? { Replicated: { Replicas: 2 } }, TaskTemplate: {} },
  ...more
})
const task = (more: Partial<Task>): Task => ({
  ID: "t1",
  Name: "web.1",
  ServiceID: "s1",
  NodeID: "n1",
  Slot: 1,
  State: "running",
  Desired: "running",
  At: minutesAgo(1),
  Says: "started",
  IsUnwell: false,
  SpecVersion: 1,
  ...more
})
const alert = (condition: string, minutes: number, says = ""): Alert => ({
  Condition: condition,
  Object: { Kind: "service", ID: "s1", Name: "web" },
  Since: minutesAgo(minutes),
  Says: says
})
const of = (
  one: Service,
  tasks: ReadonlyArray<Task>,
  alerts: ReadonlyArray<Alert> = [],
  nodes: ReadonlyArray<Node> = []
) => judge({ services: [one], nodes, tasksOf: () => tasks, alerts, nowMs })

const failed = (minutes: number): Task =>
  task({
    State: "failed",
    Desired: "shutdown",
    At: minutesAgo(minutes),
    Says: "non-zero exit (3)",
    IsUnwell: true
  })

test("nothing is wrong with what runs, starts, or is to have no tasks", () => {
  expect(of(service(), [task({}), task({})])).toEqual([])
  expect(of(service(), [task({}), task({ State: "preparing" })])).toEqual([])
  expect(of(service({ mode: { Replicated: { Replicas: 0 } } }), [])).toEqual([])
  expect(of(service(), [task({}), task({}), failed(1)])).toEqual([])
})

test("a task that no node suits is told with the scheduler's words, at once", () => {
  const waits = task({
    State: "pending",
    NodeID: "",
    Says: "no suitable node",
    IsUnwell: true,
    At: minutesAgo(3)
  })
  expect(of(service(), [task({}), waits])).toEqual([
    {
      go: "#/service/s1",
      name: "web",
      what: "1 without a node",
      why: "no suitable node",
      since: minutesAgo(3)
    }
  ])
})

test("what fails again and again is told with its last words, since the leader saw it or it first failed", () => {
  const waiting = task({ State: "ready", Desired: "ready" })
  const tasks = [task({}), waiting, failed(4), failed(2)]
  const [found] = of(service(), tasks)
  expect(found).toMatchObject({
    what: "fails again and again, 1 of 2 running",
    why: "non-zero exit (3)",
    since: minutesAgo(4)
  })
  expect(of(service(), tasks, [alert("crash-loop", 9)])[0]?.since).toBe(minutesAgo(9))
  expect(of(service(), [task({}), waiting, failed(7), failed(6)])).toEqual([])
})

test("a paused update is a problem also where all tasks run", () => {
  const one = service({
    UpdateStatus: { State: "paused", Message: "task t9 failed", StartedAt: minutesAgo(5) }
  })
  expect(of(one, [task({}), task({})])).toMatchObject([
    { what: "update paused, 2 of 2 running", why: "task t9 failed", since: minutesAgo(5) }
  ])
  const back = service({ UpdateStatus: { State: "rollback_paused" } })
  expect(of(back, [task({}), task({})])).toMatchObject([{ what: "rollback paused, 2 of 2 running" }])
})

test("jobs count what is done, and have failed when nobody tries again", () => {
  const job = service({ mode: { ReplicatedJob: { TotalCompletions: 2, MaxConcurrent: 1 } } })
  const done = task({ State: "complete", Desired: "complete" })
  expect(count(job, [done, done])).toEqual({ reached: 2, wanted: 2, word: "done" })
  expect(of(job, [done, done])).toEqual([])
  expect(of(job, [done, failed(8), task({ Desired: "complete" })])).toEqual([])
  expect(of(job, [done, failed(8)])).toMatchObject([
    { what: "job failed, 1 of 2 done", why: "non-zero exit (3)", since: minutesAgo(8) }
  ])
})

test("a job tells how far it has come, and is not held to be bad while it goes on", () => {
  const job = service({ mode: { ReplicatedJob: { TotalCompletions: 5, MaxConcurrent: 2 } } })
  const done = task({ State: "complete", Desired: "complete" })
  const busy = task({ Desired: "complete" })
  const starting = task({ State: "starting", Desired: "complete" })
  // Of the execution before.
  const past = task({ State: "failed", Desired: "remove" })
  const under = [done, busy, starting, failed(1), past]
  expect(progressOf(job, under)).toEqual({
    reached: 1,
    wanted: 5,
    word: "done",
    running: 1,
    waiting: 1,
    failures: 1,
    isOver: false
  })
  expect(standingOf(job, under)).toBe("waiting")
  expect(standingOf(job, [done, done, done, done, done])).toBe("good")
  expect(standingOf(job, [done, failed(1)])).toBe("bad")
  // It has just been made, or is between two of its tasks.
  expect(standingOf(job, [])).toBe("waiting")
  expect(standingOf(job, [done])).toBe("waiting")
  expect(standingOf(service(), [task({})])).toBe("bad")
  expect(progressOf(service(), [task({})])).toBeUndefined()
})

test("a job on every node counts those where it failed for good, each once", () => {
  const job = service({ mode: { GlobalJob: {} } })
  const on = (NodeID: string, more: Partial<Task>): Task => task({ ID: `on ${NodeID}`, NodeID, ...more })
  const done = on("n1", { State: "complete", Desired: "complete" })
  const bad = { State: "failed", Desired: "shutdown", IsUnwell: true, Says: "non-zero exit (3)" }
  const tasks = [done, on("n2", bad), on("n2", bad)]
  expect(count(job, tasks)).toEqual({ reached: 1, wanted: 2, word: "done" })
  expect(of(job, tasks)).toMatchObject([{ what: "job failed, 1 of 2 done", why: "non-zero exit (3)" }])
  // A try that succeeded in the end.
  expect(count(job, [done, on("n1", bad)])).toEqual({ reached: 1, wanted: 1, word: "done" })
  // Not placed yet, each of them one.
  const waits = (ID: string): Task => task({ ID, NodeID: "", State: "pending", Desired: "complete" })
  expect(count(job, [waits("a"), waits("b")]).wanted).toBe(2)
})

test("what broke last comes first", () => {
  const [old, young] = [service(), { ...service(), ID: "s2" }]
  const waits = (minutes: number): Task =>
    task({ State: "pending", NodeID: "", IsUnwell: true, At: minutesAgo(minutes) })
  const found = judge({
    services: [old, young],
    nodes: [],
    tasksOf: ({ ID }) => [waits(ID === "s1" ? 9 : 2)],
    alerts: [],
    nowMs
  })
  expect(found.map(({ go }) => go)).toEqual(["#/service/s2", "#/service/s1"])
})

test("what the leader says of services, nodes and the cluster is told once each", () => {
  const node = {
    ID: "n2",
    Description: { Hostname: "beta" },
    Status: { State: "down", Message: "no heartbeat" }
  } as unknown as Node
  const about = (kind: string, id: string, condition: string): Alert => ({
    Condition: condition,
    Object: { Kind: kind, ID: id, Name: id },
    Since: minutesAgo(1),
    Says: condition
  })
  const alerts = [
    alert("service-short", 2),
    alert("certificate-ends", 2, "it ends soon"),
    alert("load-unknown", 2, "nobody says"),
    about("node", "n2", "node-down"),
    about("cluster", "c", "managers-few")
  ]
  expect(
    of(service(), [task({}), task({ State: "starting", Says: "" })], alerts, [node]).map(
      ({ name, what, why }) => [name, what, why]
    )
  ).toEqual([
    ["cluster", "in danger", "managers-few"],
    ["beta", "node down", "no heartbeat"],
    ["web", "1 of 2 running", "starting: "],
    ["web", "certificate ends", "it ends soon"],
    ["web", "load unknown", "nobody says"]
  ])
})
