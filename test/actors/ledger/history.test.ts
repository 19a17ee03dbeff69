/** The ledger's past, as the recorder keeps it. */
import { expect, test } from "bun:test"
import { keepHistory } from "#actors/ledger/history.ts"
import { Machine } from "#actors/ledger/machine.ts"
import type { Kind, LedgerReader } from "#actors/ledger/reader.ts"
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
