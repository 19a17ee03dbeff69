/** The ledger's past, as the recorder keeps it. */
import { expect, test } from "bun:test"
import { keepHistory, type LedgerLine, RecordedLedger } from "#actors/ledger/history.ts"
import { Machine } from "#actors/ledger/machine.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
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

/** What a machine knows, whichever tables it has by then. */
const reading = (machine: Machine, more: Partial<LedgerReader> = {}): LedgerReader =>
  new Proxy({} as LedgerReader, {
    get: (_, name: keyof LedgerReader) => {
      const found = more[name] ?? machine.tables[name]
      return typeof found === "function" ? found.bind(machine.tables) : found
    }
  })

test("a ledger that grows too large to be replayed is given up, and what was kept of it is let go", () => {
  const machine = new Machine(loud)
  let more = 0
  const read = reading(machine, {
    count: (kind) => machine.tables.count(kind) + (kind === "task" ? more : 0)
  })
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

test("a task of a template that a snapshot brought along is kept with it, and replayed", () => {
  const machine = new Machine(loud)
  const book = new Book().cluster()
  const update = (id: string, Image: string): void => {
    const spec = { Name: id, TaskTemplate: { ContainerSpec: { Image } } }
    const version = book.tables.get("service", id)?.Version.Index ?? 0
    book.must({ type: "service.update", v: 1, id, version, spec })
  }
  book.service("web")
  const ahead = new Machine(loud)
  ahead.tables = book.tables
  machine.restore(ahead.snapshot())
  const read = reading(machine)
  const history = keepHistory({ read, follow: (listen) => machine.follow(listen) }, 1)
  update("web", "two")
  const [id = ""] = book.tasks("web", 1)
  for (const image of ["three", "four"]) update("web", image)
  machine.restore(ahead.snapshot())
  const replayed = (): unknown => {
    const recorded = new RecordedLedger(history.lines() as Iterable<LedgerLine>)
    expect(recorded.advance(read.index, read.time)).toBeUndefined()
    const task = recorded.tables.get("task", id)
    return task && recorded.tables.taskSpec(task.ServiceID, task.SpecVersion)?.ContainerSpec
  }
  expect(replayed()).toEqual({ Image: "two" })
  // And once it is folded into where the ledger stood.
  for (const image of ["five", "six"]) {
    update("web", image)
    machine.restore(ahead.snapshot())
  }
  expect(replayed()).toEqual({ Image: "two" })
  history.stop()
})
