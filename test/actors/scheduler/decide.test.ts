import { expect, test } from "bun:test"
import type { WriteOutcome } from "#actors/ledger/service.ts"
import { decide, start } from "#actors/scheduler/decide.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"

const applied: WriteOutcome = { _tag: "Applied", applied: { index: 0 } }
const momentOf = (book: Book) => ({
  now: book.time,
  fresh: Fresh.from(1),
  self: address("leader", "scheduler", "main")
})

/** A scheduler whose two tasks found no node, at rest. */
function full() {
  const book = new Book().cluster()
  book.service("web")
  book.tasks("web", 2)
  let step = start({ ledger: book.tables }, momentOf(book))
  for (const action of step.actions) {
    if (action._tag === "Propose") for (const command of action.commands) book.must(command)
  }
  step = decide(step.state, { _tag: "Proposed", why: "", outcome: applied }, momentOf(book))
  expect(step.actions).toEqual([])
  return { book, state: step.state }
}

test("while tasks wait for room, signs of room are looked at ten times a second and no oftener", () => {
  const { book, state } = full()
  book.time += 40
  const held = decide(state, { _tag: "Look" }, momentOf(book))
  expect(held.actions).toMatchObject([{ _tag: "Later", key: "look", afterMs: 60 }])
  book.node("n1")
  book.time += 60
  const [asked] = decide(held.state, { _tag: "Look" }, momentOf(book)).actions
  expect(asked).toMatchObject({ _tag: "Propose", why: "2 of 2 placed" })
})

test("a task that is new is placed at once, however many others wait", () => {
  const { book, state } = full()
  book.service("api")
  book.tasks("api", 1)
  const [asked] = decide(state, { _tag: "Look" }, momentOf(book)).actions
  expect(asked?._tag).toBe("Propose")
})

test("failures are remembered for five minutes, and read off the ledger by a scheduler that starts", () => {
  const { book, state } = full()
  const failed = (at: number) =>
    decide(
      state,
      { _tag: "Failed", serviceId: "web", specVersion: 1, nodeId: "n1", at },
      { ...momentOf(book), now: at }
    ).state
  const began = book.time
  for (let nth = 0; nth < 5; nth++) failed(began + nth)
  expect(state.failures.size).toBe(5)
  const later = failed(began + 6 * 60_000)
  expect(later.failures.size).toBe(1)

  const Timestamp = new Date(book.time).toISOString()
  book.node("n1")
  book.tasks("web", 1, { NodeID: "n1", Status: { Timestamp, State: "failed" } })
  expect(start({ ledger: book.tables }, momentOf(book)).state.failures.size).toBe(1)
})
