import { expect, test } from "bun:test"
import { Book } from "#test/support/ledger.ts"

type Reachability = "reachable" | "unreachable" | "unknown"

/** Managers m1, m2, … that the leader sees so, in a cluster whose founder is a worker by now. */
function managers(...reachabilities: ReadonlyArray<Reachability>): Book {
  const book = new Book().cluster()
  const register = (id: string, Reachability: Reachability) =>
    book.must({
      type: "node.register",
      v: 1,
      node: {
        ID: id,
        Spec: { Role: "manager", Availability: "active", Labels: {} },
        Status: { State: "ready" },
        ManagerStatus: { Reachability, Addr: `${id}:2377` }
      }
    })
  for (const at of reachabilities.keys()) register(`m${at + 1}`, "reachable")
  expect(demote(book, "manager")).toBe("done")
  const nodes = reachabilities.map((reachability, at) => ({ id: `m${at + 1}`, reachability }))
  book.must({ type: "node.observe", v: 1, nodes })
  return book
}

function demote(book: Book, id: string): string {
  const node = book.tables.get("node", id)
  const spec = { ...node?.Spec, Role: "worker" as const, Availability: "active" as const }
  const result = book.write({ type: "node.update", v: 1, id, version: node?.Version.Index ?? 0, spec })
  return result._tag === "Applied" ? "done" : result.refusal.message
}

test("E6 a demotion that leaves fewer reachable managers than the next decision needs is refused, in numbers", () => {
  const cases: ReadonlyArray<readonly [ReadonlyArray<Reachability>, string, boolean]> = [
    [["reachable", "reachable", "reachable"], "m1", true],
    [["reachable", "reachable", "unreachable"], "m3", true],
    [["reachable", "reachable", "unreachable"], "m1", false],
    [["reachable", "reachable"], "m2", true],
    [["reachable", "unreachable"], "m1", false],
    [["reachable", "unreachable"], "m2", true],
    [["reachable", "reachable", "reachable", "unreachable", "unreachable"], "m4", true],
    [["reachable", "reachable", "reachable", "unreachable", "unreachable"], "m1", false],
    [["reachable", "unknown", "reachable"], "m1", false]
  ]
  for (const [seen, id, allowed] of cases) {
    const said = demote(managers(...seen), id)
    expect([seen, id, allowed ? said : said.slice(0, 95)]).toEqual([
      seen,
      id,
      allowed
        ? "done"
        : "rpc error: code = FailedPrecondition desc = can't remove member from the raft: this would resul"
    ])
  }
})

test("RF-24 the last manager cannot be demoted", () => {
  expect(demote(managers("reachable"), "m1")).toContain("attempting to demote the last manager of the swarm")
})

test("RF-24 a manager that has left the group is one no more", () => {
  const book = managers("reachable", "reachable")
  const nodes = [{ id: "m2", retired: true as const }]
  book.must({ type: "node.observe", v: 1, nodes })
  expect(book.tables.get("node", "m2")?.ManagerStatus).toBeUndefined()
})

test("what is said again of a manager does not change its version", () => {
  const book = managers("reachable")
  const version = () => book.tables.get("node", "m1")?.Version.Index
  const before = version()
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "m1", reachability: "reachable", leader: false }] })
  expect(version()).toBe(before)
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "m1", reachability: "unreachable" }] })
  expect(version()).not.toBe(before)
})
