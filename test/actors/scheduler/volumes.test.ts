/** Which node takes a task that uses cluster volumes, and which volumes it gets there. */
import { describe, expect, test } from "bun:test"
import type { NodeDescription, Task } from "#actors/model/objects.ts"
import type { MountSpec, Topology, VolumeSpec } from "#actors/model/spec.ts"
import { diagnose } from "#actors/scheduler/diagnose.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { place } from "#actors/scheduler/place.ts"
import { Book } from "#test/support/ledger.ts"

type Sharing = VolumeSpec["AccessMode"]["Sharing"]

/** A node with the plugin, at a place. */
function node(book: Book, id: string, where?: Topology, most?: number): Book {
  const Description: NodeDescription = {
    Hostname: id,
    Platform: { OS: "linux", Architecture: "x86_64" },
    Resources: { NanoCPUs: 4e9, MemoryBytes: 8e9 },
    Engine: { EngineVersion: "1" },
    CSIInfo: [
      {
        PluginName: "folders",
        NodeID: `${id}-there`,
        ...(where === undefined ? {} : { AccessibleTopology: where }),
        ...(most === undefined ? {} : { MaxVolumesPerNode: most })
      }
    ]
  }
  return book.node(id, { Description })
}
const nodes = (...ids: ReadonlyArray<string>): Book => {
  const book = new Book().cluster()
  for (const id of ids) node(book, id)
  return book
}
const mode = (Scope: "single" | "multi", Sharing: Sharing): Partial<VolumeSpec> => ({
  AccessMode: { Scope, Sharing, MountVolume: {} }
})

/** A service whose tasks mount these, for reading alone where it says so, and so many tasks of it. */
function serve(book: Book, id: string, sources: ReadonlyArray<string>, tasks: number, ReadOnly = false) {
  const Mounts = sources.map(
    (Source, at): MountSpec => ({ Type: "cluster", Source, Target: `/${at}`, ReadOnly })
  )
  book.service(id, { TaskTemplate: { ContainerSpec: { Mounts } } })
  return book.tasks(id, tasks)
}

function run(book: Book): void {
  const update = place(book.tables, { now: book.time, failures: new Failures(book.time) })
  book.must({ type: "tasks.change", v: 1, create: [], update, remove: [] })
}

const tasksOf = (book: Book, id: string): ReadonlyArray<Task> => [...book.tables.tasksOfService(id)]
const nodesOf = (book: Book, id: string) => tasksOf(book, id).map(({ NodeID = "" }) => NodeID)
const volumesOf = (book: Book, id: string) =>
  tasksOf(book, id).map(({ Volumes = [] }) => Volumes.map(({ ID }) => ID).join())
const problems = (book: Book, id: string) => tasksOf(book, id).flatMap(({ Status }) => Status.Err ?? [])

describe("SC-30 a task that uses a cluster volume", () => {
  test("goes where the volume lies and its plugin is, is told which it has, and the volume is published there", () => {
    const book = new Book().cluster().node("bare")
    node(book, "a", { Segments: { zone: "a", rack: "1" } })
    node(book, "b", { Segments: { zone: "b", rack: "1" } })
    const Info = {
      VolumeID: "x",
      CapacityBytes: 0,
      VolumeContext: {},
      AccessibleTopology: [{ Segments: { zone: "b" } }]
    }
    book.volume("data", {}, { Info })
    serve(book, "web", ["data"], 2)
    run(book)
    expect(nodesOf(book, "web")).toEqual(["b", "b"])
    expect(tasksOf(book, "web")[0]?.Volumes).toEqual([{ ID: "data", Source: "data", Target: "/0" }])
    expect(book.publishedTo("data")).toEqual(["b: pending-publish"])
  })

  test("waits with Swarm's words where there is none, none yet, or none for it, and people are told what to look at", () => {
    const book = nodes("a", "b")
    const [id = ""] = serve(book, "web", ["data"], 1)
    run(book)
    const said =
      "no suitable node (cannot fulfill requested CSI volume mounts on 2 nodes; 1 node not available for new tasks)"
    expect(problems(book, "web")).toEqual([said])
    expect(diagnose(book.tables, book.tables.get("task", id) as Task).TurnedAway).toContainEqual({
      Filter: "volumes",
      Reason: "no volume for data",
      Nodes: ["a", "b"]
    })
    const unmade = {
      ...(book.volume("other").tables.get("volume", "other")?.Spec as VolumeSpec),
      Name: "data"
    }
    book.must({
      type: "volume.create",
      v: 1,
      volume: { ID: "d", Spec: { ...unmade, Availability: "pause" }, PublishStatus: [] }
    })
    run(book)
    expect(nodesOf(book, "web")).toEqual([""])
    const info = { VolumeID: "x", CapacityBytes: 0, VolumeContext: {}, AccessibleTopology: [] }
    book.must({ type: "volume.observe", v: 1, volumes: [{ id: "d", info }] })
    run(book)
    expect(nodesOf(book, "web")).toEqual([""])
    book.setAvailability("d", "active")
    run(book)
    expect(nodesOf(book, "web")).toEqual(["a"])
    expect(problems(book, "web")).toEqual([])
  })

  test("of a global service stays where it is, and waits there", () => {
    const book = nodes("a", "b").volume("data", mode("single", "all"))
    serve(book, "web", ["data"], 0)
    book.tasks("web", 1, { NodeID: "a" })
    book.tasks("web", 1, { NodeID: "b" })
    run(book)
    expect(volumesOf(book, "web").sort()).toEqual(["", "data"])
  })

  test("finds no room where its plugin has as many volumes as it can", () => {
    const book = node(node(new Book().cluster(), "a", undefined, 1), "b", undefined, 2)
    for (const name of ["v1", "v2", "v3", "v4"]) {
      book.volume(name)
      serve(book, `of-${name}`, [name], 1)
      run(book)
    }
    const held = ["v1", "v2", "v3", "v4"].map((name) => nodesOf(book, `of-${name}`)[0])
    expect([...held].sort()).toEqual(["", "a", "b", "b"])
  })
})

describe("SC-31 how a volume is shared", () => {
  test("on a single node all tasks follow the first one there", () => {
    const book = nodes("a", "b", "c").volume("data", mode("single", "all"))
    serve(book, "web", ["data"], 4)
    run(book)
    expect(new Set(nodesOf(book, "web")).size).toBe(1)
    expect(nodesOf(book, "web")).not.toContain("")
  })

  test("on many nodes they spread", () => {
    const book = nodes("a", "b", "c").volume("data", mode("multi", "all"))
    serve(book, "web", ["data"], 3)
    run(book)
    expect(nodesOf(book, "web").sort()).toEqual(["a", "b", "c"])
  })

  test("none is one task, onewriter one writer and any number of readers, readonly readers alone", () => {
    const placed = (sharing: Sharing, writers: number, readers: number) => {
      const book = nodes("a", "b").volume("data", mode("multi", sharing))
      serve(book, "write", ["data"], writers)
      serve(book, "read", ["data"], readers, true)
      run(book)
      const count = (id: string) => nodesOf(book, id).filter((at) => at !== "").length
      return [count("write"), count("read")]
    }
    expect(placed("none", 2, 2)).toEqual([1, 0])
    expect(placed("none", 0, 2)).toEqual([0, 1])
    expect(placed("onewriter", 2, 3)).toEqual([1, 3])
    expect(placed("readonly", 2, 3)).toEqual([0, 3])
    expect(placed("all", 2, 3)).toEqual([2, 3])
  })

  test.each([
    ["single", "all"],
    ["multi", "none"]
  ] as const)(
    "what one task leaves the next may have once it has left its node: %s, %s",
    (scope, sharing) => {
      const book = nodes("a", "b").volume("data", mode(scope, sharing))
      const [first = ""] = serve(book, "web", ["data"], 1)
      run(book)
      const at = nodesOf(book, "web")[0] ?? ""
      const other = at === "a" ? "b" : "a"
      book.step("data", at, "published")
      const Status = { Timestamp: "", State: "failed" } as const
      book.must({ type: "tasks.report", v: 1, node: at, statuses: [{ id: first, status: Status }] })
      const { Spec } = book.tables.get("node", at) ?? {}
      const version = book.tables.get("node", at)?.Version.Index ?? 0
      book.must({ type: "node.update", v: 1, id: at, version, spec: { ...Spec, Availability: "drain" } })
      const [second = ""] = book.tasks("web", 1)
      run(book)
      // Its plugin would refuse two nodes.
      expect(book.tables.get("task", second)?.NodeID).toBeUndefined()
      for (const state of ["pending-node-unpublish", "pending-controller-unpublish", "unpublished"] as const)
        book.step("data", at, state)
      run(book)
      expect(book.tables.get("task", second)?.NodeID).toBe(other)
    }
  )

  test("of a group any volume that is free will do, each mount one of its own", () => {
    const book = nodes("a", "b")
    for (const name of ["v1", "v2", "v3"]) book.volume(name, { Group: "fast", ...mode("multi", "none") })
    book.volume("v4", { Group: "slow", ...mode("multi", "none") })
    serve(book, "web", ["group:fast"], 2)
    run(book)
    expect(volumesOf(book, "web").sort()).toEqual(["v1", "v2"])
    serve(book, "pair", ["group:fast", "group:fast"], 1)
    run(book)
    expect(volumesOf(book, "pair")).toEqual([""])
    book.volume("v5", { Group: "fast", ...mode("multi", "none") })
    run(book)
    expect(volumesOf(book, "pair")).toEqual(["v3,v5"])
  })

  test("one look gives nothing twice, whatever order its tasks come in", () => {
    const book = nodes("a", "b", "c")
    for (let at = 0; at < 5; at++) book.volume(`v${at}`, { Group: "fast", ...mode("single", "none") })
    for (const id of ["x", "y", "z"]) serve(book, id, ["group:fast"], 2)
    run(book)
    const given = ["x", "y", "z"].flatMap((id) => volumesOf(book, id)).filter((ids) => ids !== "")
    expect([...given].sort()).toEqual(["v0", "v1", "v2", "v3", "v4"])
  })
})
