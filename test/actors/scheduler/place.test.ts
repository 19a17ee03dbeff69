import { expect, test } from "bun:test"
import type { TaskPatch } from "#actors/ledger/commands.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { toIso } from "#actors/model/time.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { matches, parseConstraints } from "#actors/scheduler/match.ts"
import { place } from "#actors/scheduler/place.ts"
import { Book } from "#test/support/ledger.ts"

const run = (book: Book, failures = new Failures(book.time)): ReadonlyArray<TaskPatch> => {
  const patches = place(book.tables, { now: book.time, failures })
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

test("SC-18 a port is held by whoever opened it until that has stopped, whatever its service asks for by then", () => {
  for (const what of ["removed", "updated"] as const) {
    const book = nodes(1)
    const asking = (PublishedPort: number) => ({
      EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort, PublishMode: "host" as const }] }
    })
    const { Version } = book.service("old", asking(8080))
    const [id = ""] = book.tasks("old", 1)
    run(book)
    const report = (State: "running" | "shutdown"): void => {
      const Ports = [
        { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "host" },
        { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "host" }
      ] as const
      const status = {
        Timestamp: toIso(book.time),
        State,
        ...(State === "running" && { PortStatus: { Ports } })
      }
      book.must({ type: "tasks.report", v: 1, node: "n1", statuses: [{ id, status }] })
    }
    report("running")
    if (what === "removed") book.must({ type: "service.remove", v: 1, id: "old" })
    else {
      const spec = { Name: "old", ...asking(8081) }
      book.must({ type: "service.update", v: 1, id: "old", version: Version.Index, spec })
    }
    book.must({
      type: "tasks.change",
      v: 1,
      create: [],
      update: [{ id, DesiredState: what === "removed" ? "remove" : "shutdown" }],
      remove: []
    })
    book.service("new", asking(8080))
    book.tasks("new", 1)
    expect(run(book).at(-1)?.Status?.Err).toContain("host-mode port already in use on 1 node")
    report("shutdown")
    expect(run(book).at(-1)?.NodeID).toBe("n1")
  }
})

test("SC-19 max replicas per node caps, and says so", () => {
  const book = nodes(2)
  book.service("a", { TaskTemplate: { Placement: { MaxReplicas: 2 } } })
  book.tasks("a", 5)
  const patches = run(book)
  expect(perNode(book)).toEqual({ n1: 2, n2: 2 })
  expect(patches.at(-1)?.Status?.Err).toContain("max replicas per node limit exceed")
})

test("SC-19 max replicas per node is each service's own, also among those that want the same otherwise", () => {
  const book = nodes(2)
  book.service("many")
  book.service("few", { TaskTemplate: { Placement: { MaxReplicas: 1 } } })
  book.tasks("many", 4)
  book.tasks("few", 3)
  const placed = run(book).flatMap(({ id, NodeID }) => (NodeID === undefined ? [] : id.replace(/\d+$/, "")))
  expect(placed.filter((id) => id.startsWith("few"))).toHaveLength(2)
  expect(placed.filter((id) => id.startsWith("many"))).toHaveLength(4)
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
  const failures = new Failures(book.time)
  for (const ago of [1, 2, 3, 4, 5]) failures.add("a", SpecVersion, "n1", book.time - ago)
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

const shutDown = (book: Book, id: string): void => {
  book.must({
    type: "tasks.change",
    v: 1,
    create: [],
    update: [{ id, DesiredState: "shutdown" }],
    remove: []
  })
}
const ended = (book: Book, node: string, id: string): void => {
  const status = { Timestamp: "", State: "shutdown" as const }
  book.must({ type: "tasks.report", v: 1, node, statuses: [{ id, status }] })
}

test("SC-02 tasks that have a node are not moved when nodes change", () => {
  const book = nodes(2)
  book.service("a")
  const ids = book.tasks("a", 4)
  run(book)
  const before = ids.map((id) => book.tables.get("task", id))
  book.node("n3")
  book.node("n1", { Status: { State: "down" } })
  expect(run(book)).toEqual([])
  expect(ids.map((id) => book.tables.get("task", id))).toEqual(before)
})

test("SC-03 a node that was freed is the next choice", () => {
  const book = nodes(3)
  book.service("a")
  const ids = book.tasks("a", 3)
  run(book)
  const freed = book.tables.get("task", ids[1] ?? "")
  shutDown(book, freed?.ID ?? "")
  ended(book, freed?.NodeID ?? "", freed?.ID ?? "")
  book.tasks("a", 1)
  const [patch] = run(book)
  expect(patch?.NodeID).toBe(freed?.NodeID ?? "")
})

test("SC-04 a node that is down or was removed before the look is never chosen", () => {
  const book = nodes(3)
  book.service("a")
  book.tasks("a", 6)
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "down" } }] })
  book.must({ type: "node.remove", v: 1, id: "n2", force: true })
  run(book)
  expect(perNode(book)).toEqual({ n3: 6 })
})

test("SC-09 scaling under nested preferences comes to an end, and stays even", () => {
  const book = new Book().cluster()
  const at = (id: string, dc: string, rack: string) =>
    book.node(id, { Spec: { Role: "worker", Availability: "active", Labels: { dc, rack } } })
  for (const dc of ["a", "b"]) for (const rack of ["1", "2"]) at(`${dc}${rack}`, dc, rack)
  at("a3", "a", "1")
  const preferring = (...labels: ReadonlyArray<string>) =>
    labels.map((label) => ({ Spread: { SpreadDescriptor: `node.labels.${label}` } }))
  book.service("s", { TaskTemplate: { Placement: { Preferences: preferring("dc", "rack") } } })
  for (const tasks of [3, 5, 8]) {
    book.tasks("s", tasks)
    run(book)
  }
  expect(perNode(book)).toEqual({ a1: 2, a2: 4, a3: 2, b1: 4, b2: 4 })
})

test("SC-14 what is dead already reserves nothing", () => {
  const book = nodes(1)
  book.service("a", reserve(3e9, 1e9))
  for (const State of ["failed", "complete", "shutdown", "rejected"] as const) {
    book.tasks("a", 2, { NodeID: "n1", DesiredState: "shutdown", Status: { Timestamp: "", State } })
  }
  book.tasks("a", 1)
  expect(run(book).map((patch) => patch.NodeID)).toEqual(["n1"])
})

test("SC-17 volume, network and log drivers must be there; binds, local volumes and the log driver none need nothing", () => {
  const book = nodes(1)
  const has = (id: string, ...Plugins: Array<{ Type: string; Name: string }>) =>
    book.node(id, {
      Description: {
        Hostname: id,
        Platform: {},
        Resources: { NanoCPUs: 0, MemoryBytes: 0 },
        Engine: { EngineVersion: "", Plugins: [{ Type: "Log", Name: "json-file" }, ...Plugins] }
      }
    })
  has("n1")
  has("n2", { Type: "Volume", Name: "nfs:latest" })
  has("n3", { Type: "Log", Name: "splunk" })
  has("n4", { Type: "Network", Name: "weave" })
  book.network("net", "net", { Driver: "weave" })
  const volume = (Name: string) => ({
    ContainerSpec: {
      Mounts: [{ Type: "volume" as const, Target: "/d", VolumeOptions: { DriverConfig: { Name } } }]
    }
  })
  const plain = { ContainerSpec: { Mounts: [{ Type: "bind" as const, Source: "/s", Target: "/d" }] } }
  const asking: ReadonlyArray<readonly [string, ServiceSpec["TaskTemplate"], ReadonlyArray<string>]> = [
    ["volume", volume("nfs"), ["n2"]],
    ["local", volume("local"), ["n1", "n2", "n3", "n4"]],
    ["bind", { ...plain, LogDriver: { Name: "none" } }, ["n1", "n2", "n3", "n4"]],
    ["log", { LogDriver: { Name: "splunk" } }, ["n3"]],
    ["network", { Networks: [{ Target: "net" }] }, ["n4"]]
  ]
  for (const [id, template = {}, suit] of asking) {
    book.service(id, { TaskTemplate: template })
    book.tasks(id, 4)
    run(book)
    expect([id, Object.keys(perNode(book, id)).sort()]).toEqual([id, [...suit]])
  }
  book.service("nobody", { TaskTemplate: volume("ceph") })
  book.tasks("nobody", 1)
  const [patch] = run(book)
  expect(patch?.Status?.Err).toContain("missing plugin on 4 nodes")
})

test("SC-23 SC-24 node.id is matched whole, node.role by what the node is", () => {
  const book = nodes(2).node("m1", { Spec: { Role: "manager", Availability: "active" } })
  const only = (id: string, Constraints: ReadonlyArray<string>) => {
    book.service(id, { TaskTemplate: { Placement: { Constraints } } })
    book.tasks(id, 2)
    run(book)
    return perNode(book, id)
  }
  expect(only("part", ["node.id == n"])).toEqual({})
  expect(only("whole", ["node.id == n2"])).toEqual({ n2: 2 })
  expect(only("managers", ["node.role == manager"])).toEqual({ m1: 2 })
  expect(only("workers", ["node.role == worker"])).toEqual({ n1: 1, n2: 1 })
})

test("SC-27 tasks that are not wanted any more are not placed", () => {
  const book = nodes(1)
  book.service("a")
  for (const DesiredState of ["shutdown", "remove"] as const) book.tasks("a", 1, { DesiredState })
  expect(run(book)).toEqual([])
  book.tasks("a", 1, { DesiredState: "ready" })
  expect(run(book)).toHaveLength(1)
})

test("services of a task or two each, placed in one turn, share nodes as evenly as one service's tasks do", () => {
  const book = nodes(3)
  for (const [at, tasks] of [1, 2, 1, 1, 2, 2].entries()) {
    book.service(`s${at}`)
    book.tasks(`s${at}`, tasks)
  }
  run(book)
  expect(perNode(book)).toEqual({ n1: 3, n2: 3, n3: 3 })
})

test("what other kinds of tasks have put on a node in the same turn counts", () => {
  const book = nodes(3)
  const one = (id: string, Constraints: ReadonlyArray<string> = []) => {
    book.service(id, { TaskTemplate: { Placement: { Constraints } } })
    book.tasks(id, 1)
  }
  for (const id of ["a1", "a2", "a3"]) one(id)
  for (const id of ["b1", "b2", "b3"]) one(id, ["node.id == n3"])
  for (const id of ["c1", "c2", "c3", "c4", "c5", "c6"]) one(id)
  run(book)
  expect(perNode(book)).toEqual({ n1: 4, n2: 4, n3: 4 })
})
