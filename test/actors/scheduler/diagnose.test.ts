/** What people are told of why a task waits, and of what would help. */
import { expect, test } from "bun:test"
import type { Node } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { diagnose } from "#actors/scheduler/diagnose.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { place } from "#actors/scheduler/place.ts"
import { Book } from "#test/support/ledger.ts"

const labelled = (
  Labels: Record<string, string>,
  Availability: "active" | "drain" = "active"
): Partial<Node> => ({
  Spec: { Role: "worker", Availability, Labels }
})

const of = (book: Book, spec: ServiceSpec, NodeID?: string) => {
  const service = book.service("web", spec)
  return diagnose(book.tables, {
    ServiceID: "web",
    SpecVersion: service.SpecVersion,
    ...(NodeID === undefined ? {} : { NodeID })
  })
}

test("nodes are grouped by filter and reason, and the node that lacks least is the one to change", () => {
  const book = new Book()
    .cluster()
    .node("n1")
    .node("n2")
    .node("n3", labelled({ zone: "a" }, "drain"))
  const wants = of(book, {
    TaskTemplate: {
      Placement: { Constraints: ["node.labels.zone == a"] },
      Resources: { Reservations: { NanoCPUs: 6e9, MemoryBytes: 2 ** 30 } }
    }
  })
  expect(wants.TurnedAway).toEqual([
    { Filter: "availability", Reason: "drained", Nodes: ["manager", "n3"] },
    { Filter: "resources", Reason: "wants 6 CPUs, 4 CPUs free", Nodes: ["n1", "n2"] }
  ])
  expect(wants.Changes).toEqual([
    "free 2 CPUs on n1, or docker service update --reserve-cpu 4 web",
    "docker node update --label-add zone=a n1"
  ])
})

test("of counted things a node lacks what it has too few of, and not what it has just enough of", () => {
  const counted = (Kind: string, Value: number) => ({ DiscreteResourceSpec: { Kind, Value } })
  const book = new Book().cluster().node("n1", {
    Description: {
      Hostname: "n1",
      Platform: { OS: "linux", Architecture: "x86_64" },
      Resources: {
        NanoCPUs: 4e9,
        MemoryBytes: 2 ** 32,
        GenericResources: [counted("ssd", 2), counted("gpu", 1)]
      },
      Engine: { EngineVersion: "1" }
    }
  })
  const wants = of(book, {
    TaskTemplate: {
      Resources: { Reservations: { GenericResources: [counted("ssd", 2), counted("gpu", 3)] } }
    }
  })
  expect(wants.TurnedAway.at(-1)).toEqual({
    Filter: "resources",
    Reason: "wants 3 of gpu, 1 free",
    Nodes: ["n1"]
  })
  expect(wants.Changes[0]).toBe(
    "free 2 of gpu on n1, or docker service update --generic-resource-add gpu=1 web"
  )
})

test.each([
  ["node.labels.zone == a", "docker node update --label-add zone=a n1"],
  ["node.labels.old != yes", "docker node update --label-rm old n1"],
  ["node.role == manager", "docker node promote n1"],
  ["node.hostname == n9", "docker service update --constraint-rm 'node.hostname == n9' web"]
])("where %s is not met, %s", (constraint, change) => {
  const book = new Book().cluster().node("n1", labelled({ old: "yes" }))
  const { Changes, TurnedAway } = of(book, { TaskTemplate: { Placement: { Constraints: [constraint] } } })
  expect(Changes).toEqual([change])
  expect(TurnedAway.at(-1)).toEqual({ Filter: "constraints", Reason: `not ${constraint}`, Nodes: ["n1"] })
})

test("ports in use, too many replicas, a foreign platform and missing plugins are told by what they are", () => {
  const book = new Book().cluster().node("n1")
  const Ports = [{ TargetPort: 80, PublishedPort: 80, PublishMode: "host" as const }]
  book.service("other", { EndpointSpec: { Ports } })
  book.tasks("other", 1)
  const update = place(book.tables, { now: book.time, failures: new Failures(book.time) })
  book.must({ type: "tasks.change", v: 1, create: [], update, remove: [] })
  const said = (id: string, spec: ServiceSpec): string | undefined => {
    const { SpecVersion } = book.service(id, spec)
    return diagnose(book.tables, { ServiceID: id, SpecVersion }).TurnedAway.at(-1)?.Reason
  }
  expect(said("port", { EndpointSpec: { Ports } })).toBe("tcp/80 in use")
  expect(
    said("arm", { TaskTemplate: { Placement: { Platforms: [{ OS: "linux", Architecture: "arm64" }] } } })
  ).toBe("is linux/x86_64")
  const Mounts = [{ Type: "volume" as const, Target: "/d", VolumeOptions: { DriverConfig: { Name: "nfs" } } }]
  expect(said("volume", { TaskTemplate: { ContainerSpec: { Mounts } } })).toBe("no Volume driver nfs")
})

test("a global service's task is a matter of its own node", () => {
  const book = new Book().cluster().node("n1").node("n2")
  const { TurnedAway, Suitable } = of(
    book,
    { Mode: { Global: {} }, TaskTemplate: { Resources: { Reservations: { NanoCPUs: 5e9 } } } },
    "n2"
  )
  expect(TurnedAway.map(({ Nodes }) => Nodes)).toEqual([["n2"]])
  expect(Suitable).toEqual([])
})

test("without an obstacle nothing needs to change", () => {
  expect(of(new Book().cluster().node("n1"), {})).toMatchObject({ Suitable: ["n1"], Changes: [] })
})
