import { expect, test } from "bun:test"
import { describe } from "#actors/api/describe.ts"
import type { ClusterEvent } from "#actors/api/events.ts"
import type { ChangeSet } from "#actors/ledger/reader.ts"
import { Book } from "#test/support/ledger.ts"

const start = { index: 0, position: 0, of: 0 }
const told = (changes: ChangeSet): ReadonlyArray<ClusterEvent> => describe(changes, start)

test("a service that comes is told with its name and what it runs", () => {
  const book = new Book().cluster()
  book.changes()
  book.service("web", {
    Mode: { Replicated: { Replicas: 3 } },
    TaskTemplate: { ContainerSpec: { Image: "nginx", Env: ["PASSWORD=hunter2"] } }
  })
  const events = told(book.changes())
  expect(events).toEqual([
    {
      sequence: { index: 2, position: 1, of: 1 },
      previous: start,
      time: "2023-11-14T22:13:20.000Z",
      resource: "service",
      action: "create",
      id: "web",
      version: 2,
      object: { name: "web", image: "nginx", mode: "replicated", replicas: 3 }
    }
  ])
  expect(JSON.stringify(events)).not.toContain("hunter2")
})

test("the events of one entry are numbered, and each names the one before it", () => {
  const book = new Book().cluster()
  book.service("web", {})
  book.changes()
  book.tasks("web", 3)
  const events = told(book.changes())
  expect(events.map(({ sequence }) => sequence)).toEqual(
    [1, 2, 3].map((position) => ({ index: 3, position, of: 3 }))
  )
  expect(events.map(({ previous }) => previous)).toEqual([
    start,
    ...events.slice(0, 2).map((e) => e.sequence)
  ])
})

test("an update says what was different before", () => {
  const book = new Book().cluster()
  book.service("web", {})
  const [id = ""] = book.tasks("web", 1)
  book.changes()
  book.must({
    type: "tasks.change",
    v: 1,
    create: [],
    update: [
      {
        id,
        NodeID: "manager",
        Status: { Timestamp: "", State: "assigned", Message: "scheduler assigned task to node" }
      }
    ],
    remove: []
  })
  expect(told(book.changes())).toMatchObject([
    {
      resource: "task",
      action: "update",
      id,
      object: { serviceId: "web", nodeId: "manager", state: "assigned" },
      before: { state: "pending" }
    }
  ])
})

test("a heartbeat is no event", () => {
  const book = new Book().cluster().node("n1")
  book.changes()
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", lastSeen: "2026-01-01T00:00:00Z" }] })
  expect(told(book.changes())).toEqual([])
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "down" } }] })
  expect(told(book.changes())).toMatchObject([
    { resource: "node", object: { state: "down" }, before: { state: "ready" } }
  ])
})

test("secrets, configs, tokens and credentials are never in an event", () => {
  const book = new Book().cluster()
  book.must({
    type: "secret.create",
    v: 1,
    secret: { ID: "s1", Spec: { Name: "key", Data: "Y2FuYXJ5", Labels: { note: "canary" } } }
  })
  book.must({ type: "config.create", v: 1, config: { ID: "c1", Spec: { Name: "conf", Data: "Y2FuYXJ5" } } })
  book.must({
    type: "service.create",
    v: 1,
    service: { ID: "web", SpecVersion: 1, Spec: { Name: "web" }, RegistryAuth: "Y2FuYXJ5" }
  })
  book.must({ type: "secret.remove", v: 1, id: "s1" })
  const events = told(book.changes())
  expect(events.map(({ resource, action }) => `${resource} ${action}`)).toContain("secret remove")
  expect(JSON.stringify(events)).not.toMatch(/Y2FuYXJ5|canary|"w"|"m"/)
})
