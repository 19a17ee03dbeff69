import { expect, test } from "bun:test"
import { exclusiveLabel } from "#actors/model/exclusive.ts"
import { glanceOf, type Said, showStatus } from "#cli/print/status.ts"

const service = (Name: string, Mode: Said["services"][number]["Spec"]["Mode"]) => ({
  ID: `id-${Name}`,
  Spec: { Name, ...(Mode && { Mode }) },
  ServiceStatus: { RunningTasks: 1, DesiredTasks: 2 }
})
const said: Said = {
  info: { ServerVersion: "29.0", Swarm: { NodeID: "n1", LocalNodeState: "active", Cluster: { ID: "blue" } } },
  nodes: [
    {
      ID: "n1",
      Spec: { Role: "manager", Availability: "active" },
      Description: { Hostname: "alpha" },
      Status: { State: "ready", Addr: "10.0.0.1" },
      ManagerStatus: { Leader: true }
    },
    { ID: "n2", Spec: { Role: "worker", Availability: "drain" }, Status: { State: "down" } }
  ],
  services: [
    { ...service("web", undefined), UpdateStatus: { State: "paused", Message: "a task failed" } },
    service("once", { ReplicatedJob: { TotalCompletions: 2 } })
  ],
  tasks: [
    {
      ID: "t1",
      ServiceID: "id-web",
      Slot: 2,
      DesiredState: "running",
      CreatedAt: "2026-11-28T02:00:00Z",
      Status: { State: "pending", Err: "no suitable node" }
    },
    {
      ID: "t2",
      ServiceID: "id-web",
      DesiredState: "shutdown",
      CreatedAt: "2026-11-28T02:00:00Z",
      Status: { State: "failed", Err: "it ended" }
    }
  ],
  alerts: [
    {
      Condition: "service-short",
      Object: { Kind: "service", Name: "web" },
      Since: "2026-11-28T02:00:00Z",
      Says: "web has 1 of 2 tasks"
    }
  ]
}

test("the status for programs names everything that people are shown", () => {
  expect(glanceOf(said)).toEqual({
    Cluster: "blue",
    State: "active",
    Stale: false,
    EngineVersion: "29.0",
    Nodes: [
      {
        ID: "n1",
        Name: "alpha",
        Self: true,
        State: "ready",
        Availability: "active",
        Role: "manager",
        Leader: true,
        Addr: "10.0.0.1"
      },
      {
        ID: "n2",
        Name: "n2",
        Self: false,
        State: "down",
        Availability: "drain",
        Role: "worker",
        Leader: false,
        Addr: ""
      }
    ],
    Services: [
      {
        ID: "id-web",
        Name: "web",
        Mode: "replicated",
        RunningTasks: 1,
        DesiredTasks: 2,
        UpdateStatus: { State: "paused", Message: "a task failed" }
      },
      {
        ID: "id-once",
        Name: "once",
        Mode: "replicated-job",
        RunningTasks: 1,
        DesiredTasks: 2,
        CompletedTasks: 0,
        TotalCompletions: 2
      }
    ],
    Alerts: [...said.alerts],
    Waiting: [
      {
        ID: "t1",
        Name: "web.2",
        State: "pending",
        CreatedAt: "2026-11-28T02:00:00Z",
        Err: "no suitable node"
      }
    ]
  })
})

test("the status for people has a table of each, and none of what there is not", () => {
  expect(showStatus(glanceOf(said), Date.parse("2026-11-28T02:05:00Z")).split("\n")).toEqual([
    "cluster blue, active; Engine 29.0",
    "",
    "NODE      STATE   AVAILABILITY   ROLE     ADDRESS",
    "alpha *   ready   active         leader   10.0.0.1",
    "n2        down    drain          worker",
    "",
    "SERVICE   MODE             TASKS                 UPDATE",
    "web       replicated       1/2                   paused: a task failed",
    "once      replicated job   1/2 (0/2 completed)",
    "",
    "ALERT           SINCE                  WHAT",
    "service-short   2026-11-28T02:00:00Z   web has 1 of 2 tasks",
    "",
    "WAITING   STATE     SINCE       WHY",
    "web.2     pending   5 minutes   no suitable node"
  ])
  const quiet = glanceOf({ ...said, services: [], tasks: [], alerts: [] })
  expect(showStatus(quiet, 0)).toEndWith("worker\n\nno services")
  expect(showStatus(glanceOf(said, true), 0)).toStartWith("This manager hears of no leader: ")
})

test("a slot of an exclusive service that a node keeps which is down is among what waits", () => {
  const kept = {
    ...{ ID: "t3", ServiceID: "id-lone", NodeID: "n2", Slot: 1, DesiredState: "running" },
    CreatedAt: "2026-11-28T02:00:00Z",
    Status: { State: "running" }
  }
  const lone = service("lone", undefined)
  const of = (Labels: Readonly<Record<string, string>>) =>
    glanceOf({ ...said, services: [{ ...lone, Spec: { ...lone.Spec, Labels } }], tasks: [kept] }).Waiting
  expect(of({ [exclusiveLabel]: "true" })).toMatchObject([
    { ID: "t3", Name: "lone.1", State: "unknown", Err: expect.stringContaining("n2") }
  ])
  expect(of({})).toEqual([])
})

test("tasks of jobs wait, too, and those of global services by the name of their node", () => {
  const waits = (ServiceID: string, place: object, DesiredState: string) => ({
    ...{ ID: ServiceID, ServiceID, DesiredState, CreatedAt: "2026-11-28T02:00:00Z", ...place },
    Status: { State: "pending", Err: "no suitable node" }
  })
  const services = [service("once", { ReplicatedJob: {} }), service("all", { Global: {} })]
  const tasks = [waits("id-once", { Slot: 0 }, "complete"), waits("id-all", { NodeID: "n1" }, "ready")]
  expect(glanceOf({ ...said, services, tasks }).Waiting.map(({ Name }) => Name)).toEqual(["once.0", "all.n1"])
})
