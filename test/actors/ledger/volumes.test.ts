/** Cluster volumes in the ledger: what is refused, and how one comes to a node and leaves it again. */
import { describe, expect, test } from "bun:test"
import { Machine } from "#actors/ledger/machine.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import { Book } from "#test/support/ledger.ts"
import { live, loud } from "#test/support/ledger-life.ts"

const mounting = (...sources: ReadonlyArray<string>) => ({
  TaskTemplate: {
    ContainerSpec: {
      Mounts: sources.map((Source) => ({ Type: "cluster" as const, Source, Target: `/${Source}` }))
    }
  }
})

/** A task that waits for the volume `data`, and its placement on a node. */
function stage() {
  const book = new Book().cluster().node("n1").node("n2").volume("data")
  book.service("web", mounting("data"))
  const [id = ""] = book.tasks("web", 1)
  const place = (node: string, volume = "data") =>
    book.write({
      type: "tasks.change",
      v: 1,
      create: [],
      update: [
        {
          id,
          NodeID: node,
          Status: { Timestamp: "", State: "assigned" },
          Volumes: [{ ID: volume, Source: "data", Target: "/data" }]
        }
      ],
      remove: []
    })
  const end = () =>
    book.must({
      type: "tasks.report",
      v: 1,
      node: "n1",
      statuses: [{ id, status: { Timestamp: "", State: "complete" } }]
    })
  const task = () => book.tables.get("task", id)
  return { book, id, place, end, task }
}

describe("a placement", () => {
  test("SC-30 records its volumes on the task and publishes them to its node, in one entry", () => {
    const { book, place, task } = stage()
    expect(place("n1")).toMatchObject({ applied: { skipped: [] } })
    expect(task()).toMatchObject({ NodeID: "n1", Volumes: [{ ID: "data", Source: "data", Target: "/data" }] })
    expect(book.publishedTo("data")).toEqual(["n1: pending-publish"])
  })

  test("SC-32 is withdrawn, whole, where its volume was drained, paused or removed since it was decided", () => {
    for (const availability of ["pause", "drain"] as const) {
      const { book, id, place, task } = stage()
      book.setAvailability("data", availability)
      expect(place("n1")).toMatchObject({ applied: { skipped: [id] } })
      expect(task()?.NodeID).toBeUndefined()
      expect(book.publishedTo("data")).toEqual([])
      book.setAvailability("data", "active")
      expect(place("n1")).toMatchObject({ applied: { skipped: [] } })
    }
    const { book, id, place } = stage()
    expect(place("n1", "gone")).toMatchObject({ applied: { skipped: [id] } })
    book.must({ type: "volume.remove", v: 1, id: "data", force: false })
    expect(place("n1")).toMatchObject({ applied: { skipped: [id] } })
  })
})

describe("a volume on a node", () => {
  test("goes from step to step, and each only from the one before it", () => {
    const { book, place, end } = stage()
    place("n1")
    const refused = { applied: { skipped: ["data"] } }
    const taken = { applied: { skipped: [] } }
    expect(book.step("data", "n1", "unpublished")).toMatchObject(refused)
    expect(book.step("data", "n1", "pending-controller-unpublish")).toMatchObject(refused)
    expect(book.step("data", "n2", "published")).toMatchObject(refused)
    expect(book.step("data", "n1", "published")).toMatchObject(taken)
    expect(book.step("data", "n1", "published")).toMatchObject(refused)
    // Its task lives.
    expect(book.step("data", "n1", "pending-node-unpublish")).toMatchObject(refused)
    end()
    expect(book.step("data", "n1", "pending-node-unpublish")).toMatchObject(taken)
    expect(book.step("data", "n1", "unpublished")).toMatchObject(refused)
    expect(book.step("data", "n1", "pending-controller-unpublish")).toMatchObject(taken)
    expect(book.step("data", "n1", "unpublished")).toMatchObject(taken)
    expect(book.publishedTo("data")).toEqual([])
  })

  test("that is asked for again before the node let go stays; once it has, it must come anew", () => {
    const { book, place, end, task } = stage()
    place("n1")
    book.step("data", "n1", "published")
    end()
    book.step("data", "n1", "pending-node-unpublish")
    const [again = ""] = book.tasks("web", 1)
    const placeAgain = () =>
      book.write({
        type: "tasks.change",
        v: 1,
        create: [],
        update: [{ id: again, NodeID: "n1", Volumes: task()?.Volumes ?? [] }],
        remove: []
      })
    expect(placeAgain()).toMatchObject({ applied: { skipped: [] } })
    expect(book.publishedTo("data")).toEqual(["n1: published"])
    // What the node says of the time before is too late.
    expect(book.step("data", "n1", "pending-controller-unpublish")).toMatchObject({
      applied: { skipped: ["data"] }
    })
    book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [again] })
    book.step("data", "n1", "pending-node-unpublish")
    book.step("data", "n1", "pending-controller-unpublish")
    const [third = ""] = book.tasks("web", 1)
    const late = { id: third, NodeID: "n1", Volumes: task()?.Volumes ?? [] }
    expect(book.write({ type: "tasks.change", v: 1, create: [], update: [late], remove: [] })).toMatchObject({
      applied: { skipped: [third] }
    })
  })
})

describe("a volume that is to go", () => {
  test("CT-22 stays while it is published, unless by force, and is gone once its plugin deleted it", () => {
    const { book, place } = stage()
    place("n1")
    const remove = (force: boolean) => book.write({ type: "volume.remove", v: 1, id: "data", force })
    const inUse = "rpc error: code = FailedPrecondition desc = volume is still in use"
    expect(remove(false)).toMatchObject({ refusal: { message: inUse } })
    expect(remove(true)._tag).toBe("Applied")
    expect(book.tables.get("volume", "data")).toBeUndefined()

    book.volume("data")
    const deleted = { type: "volume.observe", v: 1, volumes: [{ id: "data", deleted: true }] } as const
    expect(book.write(deleted)).toMatchObject({ applied: { skipped: ["data"] } })
    expect(remove(false)._tag).toBe("Applied")
    expect(book.tables.get("volume", "data")?.PendingDelete).toBe(true)
    expect(book.write(deleted)).toMatchObject({ applied: { skipped: [] } })
    expect(book.tables.byName("volume", "data")).toBeUndefined()
  })

  test("holds the secrets that its plugin is given", () => {
    const book = new Book().cluster()
    book.must({ type: "secret.create", v: 1, secret: { ID: "s1", Spec: { Name: "password", Data: "eA==" } } })
    book.volume("data", { Secrets: [{ Key: "password", Secret: "s1" }] })
    expect(book.write({ type: "secret.remove", v: 1, id: "s1" })).toMatchObject({
      refusal: {
        message: expect.stringContaining("secret 'password' is in use by the following volume: data")
      }
    })
    book.must({ type: "volume.remove", v: 1, id: "data", force: true })
    book.must({ type: "secret.remove", v: 1, id: "s1" })
  })
})

test("a state without volumes has the digest that it had before there were any", () => {
  // Of this very cluster, by the release before volumes.
  const book = new Book().cluster().node("n1")
  expect(book.tables.digest()).toBe("365c5b280c57b41f")
  expect(new LedgerTables().digest()).toBe("b87a02ffe28e58ec")
})

test("a snapshot holds volumes, and the tasks that use them", () => {
  const { machine } = live(12, 900)
  expect(machine.tables.count("volume")).toBeGreaterThan(0)
  expect([...machine.tables.all("task")].some(({ Volumes }) => Volumes !== undefined)).toBe(true)
  const restored = new Machine(loud)
  restored.restore([...machine.snapshot()])
  expect(restored.digest()).toBe(machine.digest())
  expect([...restored.tables.all("volume")]).toEqual([...machine.tables.all("volume")])
})
