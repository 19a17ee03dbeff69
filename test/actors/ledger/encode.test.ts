import { expect, test } from "bun:test"
import { decodeEntry, encodeEntry } from "#actors/ledger/encode.ts"
import { Recent } from "#actors/ledger/recent.ts"
import { decodeSnapshot, encodeSnapshot } from "#actors/ledger/snapshot.ts"
import { Book } from "#test/support/ledger.ts"

function busyBook(): Book {
  const book = new Book().cluster().node("n1").network("net")
  for (let at = 0; at < 40; at++) {
    book.service(`s${at}`, { TaskTemplate: { ContainerSpec: { Image: "ä" } } })
    book.tasks(`s${at}`, 60, { NodeID: "n1" })
  }
  return book
}

test("H1 a state restored from its snapshot is the same state", () => {
  const book = busyBook()
  const recent = new Recent()
  recent.keep("p", "b", 7, { _tag: "Applied", applied: { index: 3 } })
  const chunks = [...encodeSnapshot(book.tables, recent)]
  expect(chunks.length).toBeGreaterThan(2)
  const other = new Recent()
  const restored = decodeSnapshot(chunks, other)
  expect(restored.freeze().cluster).toEqual(book.tables.freeze().cluster)
  for (const kind of ["node", "network", "service", "task"] as const) {
    expect([...restored.all(kind)]).toEqual([...book.tables.all(kind)])
  }
  expect(restored.index).toBe(book.tables.index)
  expect([...restored.tasksOfService("s3")].length).toBe(60)
  expect(other.look("p", "b", 7)._tag).toBe("Repeated")
})

test("H1 a snapshot shows the state at which it was asked for, whatever is applied while it is written", () => {
  const book = busyBook()
  const before = book.tables.count("task")
  const chunks = encodeSnapshot(book.tables, new Recent())
  for (const task of [...book.tables.all("task")].slice(0, 500)) {
    book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [task.ID] })
  }
  book.tasks("s1", 5)
  expect(decodeSnapshot(chunks, new Recent()).count("task")).toBe(before)
})

test("H4 an entry of an unknown type or version halts instead of being skipped", () => {
  const entry = { proposer: "p", boot: "b", seq: 1, who: "w", why: "y", time: 1 }
  const known = { ...entry, command: { type: "service.remove", v: 1, id: "x" } as const }
  expect(decodeEntry(encodeEntry(known))).toEqual(known)
  const newer = encodeEntry({ ...entry, command: { ...known.command, v: 2 } } as never)
  expect(() => decodeEntry(newer)).toThrow("service.remove version 2")
  const stranger = encodeEntry({ ...entry, command: { type: "service.explode", v: 1 } } as never)
  expect(() => decodeEntry(stranger)).toThrow("service.explode")
})
