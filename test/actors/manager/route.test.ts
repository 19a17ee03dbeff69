import { expect, test } from "bun:test"
import { allocatorAt, dispatcherAt, route } from "#actors/manager/route.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { toIso } from "#actors/model/time.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { Book } from "#test/support/ledger.ts"

/** Whom `change` to `book` is told, and what. */
function told(book: Book, change: () => void) {
  book.changes()
  change()
  const to = { ledger: book.tables, everywhere: new Set<string>(), serviceProps: 0, nodeProps: 0 }
  return route(to, book.changes()).flatMap((action) => (action._tag === "Tell" ? action : []))
}

const tellsAllocator = (book: Book, change: () => void): boolean =>
  told(book, change).some(({ to }) => to === allocatorAt)

test("the allocator hears of services that ask for something of it, and of no others", () => {
  const book = new Book().cluster()
  const make = (id: string, spec: ServiceSpec) => tellsAllocator(book, () => book.service(id, spec))
  const remove = (id: string) => tellsAllocator(book, () => book.must({ type: "service.remove", v: 1, id }))
  const published: ServiceSpec = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } }
  expect(make("plain", {})).toBe(false)
  expect(make("web", published)).toBe(true)
  expect(make("netted", { TaskTemplate: { Networks: [{ Target: "n" }] } })).toBe(true)
  expect(remove("plain")).toBe(false)
  expect(remove("web")).toBe(true)
})

test("the dispatcher hears of a manager's changes without what opens its door, so that they can be replayed", () => {
  const book = new Book().cluster().node("m1", { Spec: { Role: "manager", Availability: "active" } })
  const access = { Tokens: [{ Name: "vera", Role: "admin", Digest: "d1" }], Ended: [] }
  book.must({ type: "node.access", v: 1, id: "m1", access })
  const moves = () =>
    book.must({ type: "node.observe", v: 1, nodes: [{ id: "m1", status: { State: "down" } }] })
  const [message] = told(book, moves).flatMap(({ to, message }) => (to === dispatcherAt ? message : []))
  expect(message).toMatchObject({
    changes: [{ kind: "node", before: { ID: "m1" }, after: { ID: "m1", Status: { State: "down" } } }]
  })
  expect(JSON.stringify(message)).not.toContain("Access")
  expect(book.tables.get("node", "m1")?.Access).toEqual(access)
})

test("the scheduler hears when a task failed by the leader's clock, and finds the same in the ledger: the node's may be another", () => {
  const book = new Book().cluster().node("n1")
  book.service("web")
  const [id = ""] = book.tasks("web", 1, { NodeID: "n1" })
  const status = { Timestamp: toIso(book.time - 3_600_000), State: "failed" as const }
  const heard = told(book, () =>
    book.must({ type: "tasks.report", v: 1, node: "n1", statuses: [{ id, status }] })
  )
  expect(heard.map(({ message }) => message)).toContainEqual(
    expect.objectContaining({ _tag: "Failed", nodeId: "n1", at: book.time })
  )
  expect(Failures.of(book.tables, book.time).size).toBe(1)
})
