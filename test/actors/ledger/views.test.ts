/** Sums over the tables that others keep there: always in step, and not worked out anew after a snapshot. */
import { expect, test } from "bun:test"
import { Machine } from "#actors/ledger/machine.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { queue } from "#actors/scheduler/queue.ts"
import { rooms } from "#actors/scheduler/rooms.ts"
import { Book } from "#test/support/ledger.ts"

const loud = (defect: unknown): void => {
  throw defect
}

function busy(): Book {
  const book = new Book().cluster().node("n1").node("n2")
  book.service("web", { TaskTemplate: { Resources: { Reservations: { NanoCPUs: 1e9 } } } })
  book.tasks("web", 3, { NodeID: "n1", Status: { Timestamp: "", State: "running" } })
  book.tasks("web", 2)
  return book
}

test("a view is made once, and there before the tasks of a snapshot are", () => {
  const source = new Machine(loud)
  source.tables = busy().tables
  const machine = new Machine(loud)
  const foundTasks: Array<number> = []
  const counted = (ledger: LedgerReader) => {
    foundTasks.push(ledger.count("task"))
    return rooms(ledger)
  }
  machine.tables.view(counted)
  machine.tables.view(queue)
  machine.restore(source.snapshot())
  const room = machine.tables.view(counted).of("n1")
  expect(foundTasks).toEqual([0, 0])
  expect([room?.cpus, room?.tasks, machine.tables.view(queue).size]).toEqual([1e9, 3, 2])
})

test("a reader of tables that have changed finds what they come to", () => {
  const { tables, must } = ((book) => ({ tables: book.tables, must: book.must.bind(book) }))(busy())
  expect(tables.view(rooms).of("n1")?.tasks).toBe(3)
  const [first] = [...tables.tasksOfNode("n1")]
  must({ type: "tasks.change", v: 1, create: [], update: [], remove: [first?.ID ?? ""] })
  expect(tables.view(rooms).of("n1")).toMatchObject({ tasks: 2, cpus: 2e9 })
})
