import { expect, test } from "bun:test"
import type { TaskPatch } from "#actors/ledger/commands.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { matches, parseConstraints } from "#actors/scheduler/match.ts"
import { failureKey, place, type RecentFailures } from "#actors/scheduler/place.ts"
import { Book } from "#test/support/ledger.ts"

const none: RecentFailures = new Map()
const run = (book: Book, failures = none): ReadonlyArray<TaskPatch> => {
  const pending = [...book.tables.tasksInState("pending")]
  const patches = place(book.tables, { pending, now: book.time, failures })
  book.must({ type: "tasks.change", v: 1, create: [], update: patches, remove: [] })
  return patches
}
const perNode = (book: Book, service?: string): Record<string, number> => {
  const found: Record<string, number> = {}
  for (const task of book.tables.all("task")) {
    if (task.NodeID === undefined || (service !== undefined && task.ServiceID !== service)) continue
    found[task.NodeID] = (found[task.NodeID] ?? 0) + 1
  }
  return found
}
const nodes = (count: number): Book => {
  const book = new Book().cluster()
  for (let at = 1; at <= count; at++) book.node(`n${at}`)
  return book
}
const reserve = (cpus: number, memory: number): ServiceSpec => ({
  TaskTemplate: { Resources: { Reservations: { NanoCPUs: cpus, MemoryBytes: memory } } }
})

test("SC-01 tasks go to the nodes with fewest of their service, total count breaks ties", () => {
  const book = nodes(3)
  book.service("a")
  book.tasks("a", 4)
  run(book)
  expect(Object.values(perNode(book)).sort()).toEqual([1, 1, 2])
  book.service("b")
  book.tasks("b", 1)
  const [patch] = run(book)
  expect(perNode(book, "a")[patch?.NodeID ?? ""]).toBe(1)
})

test("SC-06 a second service spreads by its own counts", () => {
  const book = nodes(2)
  book.service("a")
  book.tasks("a", 6)
  run(book)
  book.node("n3")
  book.service("b")
  book.tasks("b", 3)
  run(book)
  expect(perNode(book, "b")).toEqual({ n1: 1, n2: 1, n3: 1 })
})

test("SC-05 SC-33 without a suitable node a task waits, with the reason in Swarm's words, said once", () => {
  const book = new Book().cluster().node("n1", { Spec: { Role: "worker", Availability: "drain" } })
  book.service("a")
  const [id = ""] = book.tasks("a", 1)
  const [patch] = run(book)
  expect(patch?.Status?.Err).toBe("no suitable node (2 nodes not available for new tasks)")
  expect(run(book)).toEqual([])
  book.node("n2")
  run(book)
  expect(book.tables.get("task", id)?.NodeID).toBe("n2")
  expect(book.tables.get("task", id)?.Status.Err).toBeUndefined()
})

test("SC-11 SC-12 reservations are respected within one batch", () => {
  const book = nodes(2)
  book.service("a", reserve(3e9, 1e9))
  book.tasks("a", 3)
  const patches = run(book)
  expect(perNode(book)).toEqual({ n1: 1, n2: 1 })
  expect(patches.at(-1)?.Status?.Err).toBe(
    "no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks)"
  )
})

test("SC-13 a task that ends frees its reservation", () => {
  const book = nodes(1)
  book.service("a", reserve(3e9, 0))
  const [first = "", second = ""] = book.tasks("a", 2)
  run(book)
  book.must({
    type: "tasks.report",
    v: 1,
    node: "n1",
    statuses: [{ id: first, status: { Timestamp: "", State: "failed" } }]
  })
  run(book)
  expect(book.tables.get("task", second)?.NodeID).toBe("n1")
})

test("SC-15 discrete and named generic resources are claimed and recorded", () => {
  const book = new Book().cluster().node("n1", {
    Description: {
      Hostname: "n1",
      Platform: {},
      Engine: { EngineVersion: "" },
      Resources: {
        NanoCPUs: 1e9,
        MemoryBytes: 1e9,
        GenericResources: [
          { NamedResourceSpec: { Kind: "gpu", Value: "g1" } },
          { NamedResourceSpec: { Kind: "gpu", Value: "g2" } },
          { DiscreteResourceSpec: { Kind: "ssd", Value: 3 } }
        ]
      }
    }
  })
  const GenericResources = [
    { DiscreteResourceSpec: { Kind: "gpu", Value: 1 } },
    { DiscreteResourceSpec: { Kind: "ssd", Value: 1 } }
  ]
  book.service("a", { TaskTemplate: { Resources: { Reservations: { GenericResources } } } })
  book.tasks("a", 3)
  const patches = run(book)
  expect(patches.map((patch) => patch.AssignedGenericResources?.[0]?.NamedResourceSpec?.Value)).toEqual([
    "g1",
    "g2",
    undefined
  ])
  expect(patches[2]?.Status?.Err).toContain("insufficient resources on 1 node")
})

test("SC-18 two tasks with one host port never share a node", () => {
  const book = nodes(2)
  book.service("a", { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80, PublishMode: "host" }] } })
  book.tasks("a", 3)
  const patches = run(book)
  expect(perNode(book)).toEqual({ n1: 1, n2: 1 })
  expect(patches.at(-1)?.Status?.Err).toContain("host-mode port already in use on 2 nodes")
})

test("SC-19 max replicas per node caps, and says so", () => {
  const book = nodes(2)
  book.service("a", { TaskTemplate: { Placement: { MaxReplicas: 2 } } })
  book.tasks("a", 5)
  const patches = run(book)
  expect(perNode(book)).toEqual({ n1: 2, n2: 2 })
  expect(patches.at(-1)?.Status?.Err).toContain("max replicas per node limit exceed")
})

test("SC-07 SC-08 preferences divide evenly between label values, then between nodes", () => {
  const book = new Book().cluster()
  const at = (id: string, dc: string) =>
    book.node(id, { Spec: { Role: "worker", Availability: "active", Labels: { dc } } })
  for (const id of ["a1", "a2", "a3"]) at(id, "a")
  at("b1", "b")
  book.service("s", {
    TaskTemplate: { Placement: { Preferences: [{ Spread: { SpreadDescriptor: "node.labels.dc" } }] } }
  })
  book.tasks("s", 6)
  run(book)
  expect(perNode(book)).toEqual({ a1: 1, a2: 1, a3: 1, b1: 3 })
})

test("SC-07 a branch without room overflows into the others", () => {
  const book = new Book().cluster()
  const at = (id: string, dc: string) =>
    book.node(id, { Spec: { Role: "worker", Availability: "active", Labels: { dc } } })
  at("a1", "a")
  at("b1", "b")
  at("b2", "b")
  book.service("s", {
    TaskTemplate: {
      Placement: { MaxReplicas: 2, Preferences: [{ Spread: { SpreadDescriptor: "node.labels.dc" } }] }
    }
  })
  book.tasks("s", 6)
  run(book)
  expect(perNode(book)).toEqual({ a1: 2, b1: 2, b2: 2 })
})

test("SC-10 a node where this version failed five times lately comes last; a new version starts afresh", () => {
  const book = nodes(2)
  const { SpecVersion } = book.service("a")
  const times = [1, 2, 3, 4, 5].map((ago) => book.time - ago)
  const failures = new Map([[failureKey("a", SpecVersion, "n1"), times]])
  book.tasks("a", 3)
  run(book, failures)
  expect(perNode(book)).toEqual({ n2: 3 })
})

test("SC-16 a task for another platform is not placed", () => {
  const book = nodes(1)
  book.service("arm", {
    TaskTemplate: { Placement: { Platforms: [{ OS: "linux", Architecture: "arm64" }] } }
  })
  book.service("amd", {
    TaskTemplate: { Placement: { Platforms: [{ OS: "linux", Architecture: "amd64" }] } }
  })
  book.tasks("arm", 1)
  book.tasks("amd", 1)
  const patches = run(book)
  expect(patches.find((patch) => patch.id.startsWith("arm"))?.Status?.Err).toContain(
    "unsupported platform on 1 node"
  )
  expect(patches.find((patch) => patch.id.startsWith("amd"))?.NodeID).toBe("n1")
})

test("SC-26 a task of a global service is checked against its own node only", () => {
  const book = nodes(2)
  book.service("g", { Mode: { Global: {} }, TaskTemplate: { Placement: { Constraints: ["node.id == n1"] } } })
  book.tasks("g", 1, { NodeID: "n1" })
  book.tasks("g", 1, { NodeID: "n2" })
  const patches = run(book)
  expect(patches.map((patch) => patch.Status?.State)).toEqual(["assigned", "pending"])
  expect(patches[1]?.Status?.Err).toBe("no suitable node (scheduling constraints not satisfied on 1 node)")
})

test("SC-20 SC-21 SC-22 SC-25 the constraint grammar", () => {
  const book = new Book().cluster().node("n1", {
    Spec: { Role: "worker", Availability: "active", Labels: { zone: "a" } },
    Status: { State: "ready", Addr: "10.0.0.7" }
  })
  const node = book.tables.get("node", "n1")
  if (node === undefined) throw new Error("no node")
  const holds = (text: string): boolean | string => {
    const parsed = parseConstraints([text])
    return typeof parsed === "string" ? parsed : matches(node, parsed)
  }
  expect(holds("node.hostname == N1")).toBe(true)
  expect(holds("node.labels.zone==a")).toBe(true)
  expect(holds("node.labels.zone != a")).toBe(false)
  expect(holds("node.labels.missing == a")).toBe(false)
  expect(holds("node.labels.missing != a")).toBe(true)
  expect(holds("engine.labels.zone != a")).toBe(true)
  expect(holds("node.role == worker")).toBe(true)
  expect(holds("node.ip == 10.0.0.0/24")).toBe(true)
  expect(holds("node.ip != 10.0.0.7")).toBe(false)
  expect(holds("node.ip == 10.0.0.300")).toBe(false)
  expect(holds("node.colour == red")).toBe(false)
  expect(holds("node.role = worker")).toBe("constraint expected one operator from ==, !=")
})

test("a job's tasks count where they are placed, as replicas do", () => {
  const book = nodes(3)
  book.service("job", { Mode: { ReplicatedJob: { TotalCompletions: 3 } } })
  book.tasks("job", 3, { DesiredState: "complete" })
  run(book)
  expect(perNode(book)).toEqual({ n1: 1, n2: 1, n3: 1 })
})
