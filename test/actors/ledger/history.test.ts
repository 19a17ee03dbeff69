/** The ledger's past, as the recorder keeps it. */
import { expect, test } from "bun:test"
import { keepHistory } from "#actors/ledger/history.ts"
import { Machine } from "#actors/ledger/machine.ts"
import type { ChangeSet, Kind, LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { Book } from "#test/support/ledger.ts"
import { loud } from "#test/support/ledger-life.ts"

const withService = (): Machine => {
  const machine = new Machine(loud)
  const book = new Book().cluster()
  book.service("s1")
  book.tasks("s1", 3)
  machine.tables = book.tables
  return machine
}

test("a ledger that grows too large to be replayed is given up, and what was kept of it is let go", () => {
  const machine = new Machine(loud)
  let more = 0
  const { tables } = machine
  // Of the reader, what is asked for after the copy of what there is at first.
  const read: LedgerReader = Object.assign(Object.create(tables), {
    cluster: () => tables.cluster(),
    all: (kind: Kind) => tables.all(kind),
    count: (kind: Kind) => machine.tables.count(kind) + (kind === "task" ? more : 0)
  })
  Object.defineProperties(read, { index: { value: 0 }, time: { value: 0 } })
  const history = keepHistory({ read, follow: (listen) => machine.follow(listen) })
  const lines = () =>
    [...history.lines()] as ReadonlyArray<{ readonly _tag: string; readonly objects?: number }>
  machine.restore(withService().snapshot())
  expect(lines().map(({ _tag }) => _tag)).toEqual(["Base", "Changes"])
  more = 200_001
  machine.restore(new Machine(loud).snapshot())
  expect(lines()).toEqual([{ _tag: "TooLarge", objects: 200_001 }])
  more = 0
  machine.restore(withService().snapshot())
  expect(lines()).toEqual([{ _tag: "TooLarge", objects: 200_001 }])
  history.stop()
})

test("what opens a manager's door, and a registry, is not kept, of before and of since", () => {
  const book = new Book().cluster().node("m1", { Spec: { Role: "manager", Availability: "active" } })
  const opens = (digest: string) => {
    const access = { Tokens: [{ Name: "vera", Role: "admin", Digest: digest }], Ended: [] }
    book.must({ type: "node.access", v: 1, id: "m1", access })
  }
  opens("digest of before")
  const { Spec: spec } = book.service("web")
  const shows = (registryAuth: string) => {
    const version = book.tables.get("service", "web")?.Version.Index ?? 0
    book.must({ type: "service.update", v: 1, id: "web", version, spec, registryAuth })
  }
  shows("registry's of before")
  let listener: (set: ChangeSet) => void = () => {}
  const follow: LedgerService["follow"] = (listen) => {
    listener = listen
    return { unsubscribe: () => {} }
  }
  book.changes()
  const history = keepHistory({ read: book.tables, follow })
  opens("digest of since")
  shows("registry's of since")
  // A door alone is no news; whatever else changes takes it along.
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "m1", status: { State: "down" } }] })
  listener(book.changes())
  const kept = JSON.stringify([...history.lines()])
  expect(kept.match(/"ID":"m1"/g)).toHaveLength(2)
  expect(kept).not.toContain("digest")
  expect(kept.match(/"ID":"web"/g)).toHaveLength(2)
  expect(kept).not.toContain("registry's")
  history.stop()
})
