/** What a manager remembers of every object, and where from one who was away can go on. */
import { expect, test } from "bun:test"
import { translate } from "#actors/gateway/events.ts"
import { eventsOf } from "#actors/gateway/events-of-history.ts"
import type { HistoryRecord, Place } from "#actors/history/describe.ts"
import { type Found, Journal, type Kept, parsePlace } from "#actors/history/journal.ts"
import { Machine } from "#actors/ledger/machine.ts"
import type { ChangeSet } from "#actors/ledger/reader.ts"
import { Book } from "#test/support/ledger.ts"
import { Life, loud } from "#test/support/ledger-life.ts"

const everything = {}
const recordOf = ({ text }: Kept): HistoryRecord => JSON.parse(text)
const bodies = (found: Found): ReadonlyArray<string> => found.changes.map(({ text }) => text)

/** A random life; `journal` has it from entry `from` on. */
function lived(seed: number, entries: number, from = 0, budget?: number) {
  const machine = new Machine(loud)
  const life = new Life(seed)
  const sets: Array<ChangeSet> = []
  const journal = new Journal(from, budget)
  machine.follow((set) => {
    sets.push(set)
    if (set.index > from) journal.take(set, machine.tables)
  })
  for (let index = 1; index <= entries; index++) machine.apply(index, life.next(machine.tables))
  return { journal, sets, machine }
}

test("every change that is news is kept, with who asked and why, and read on from any place without a gap", () => {
  const { journal, sets } = lived(3, 400)
  const all = journal.from({ index: 1, position: 0 }, everything, 100_000)
  if ("after" in all) throw new Error("something was lost")
  const news = sets.flatMap(({ changes }) =>
    changes.filter(
      ({ before, after }) => before?.Version.Index !== after?.Version.Index || before === undefined
    )
  )
  expect(all.changes.length).toBe(news.length)
  expect(all.changes.map(recordOf).every(({ Who, Why }) => Who === "test" && /^m\d+$/.test(Why))).toBe(true)
  // Page by page, as a follower that is cut off after each.
  const pages: Array<string> = []
  let place: Place | undefined = { index: 1, position: 0 }
  while (place !== undefined) {
    const page = journal.from(place, everything, 7) as Found
    pages.push(...bodies(page))
    const last = page.changes.at(-1)
    place = last === undefined ? undefined : parsePlace(recordOf(last).Sequence)
  }
  expect(pages).toEqual([...bodies(all)])
})

test("what had to go is said, of tasks apart from all else", () => {
  const { journal } = lived(5, 3_000, 0, 40_000)
  const kinds = new Set(["task"] as const)
  const after = journal.after({ kinds })
  expect(after.index).toBeGreaterThan(0)
  expect(journal.from({ index: 0, position: 0 }, { kinds }, 10)).toEqual({ after })
  const rest = journal.from(after, { kinds }, 100_000) as Found
  const whole = lived(5, 3_000, 0, 1e9).journal.from(after, { kinds }, 100_000) as Found
  expect(bodies(rest)).toEqual([...bodies(whole)])
  expect(rest.changes.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThanOrEqual(40_000)
})

test("what the log tells of before a start goes before what came since, each once", () => {
  const whole = lived(9, 600).journal
  const { journal } = lived(9, 600, 400)
  expect(journal.from({ index: 100, position: 1 }, everything, 10)).toEqual({
    after: { index: 401, position: 0 }
  })
  // The log is read later, and tells of some of what came since, too.
  const older = whole.all().filter(({ place }) => place.index > 50 && place.index <= 450)
  journal.prepend(older, 50)
  expect(journal.after(everything)).toEqual({ index: 51, position: 0 })
  const of = (one: Journal) => bodies(one.from({ index: 51, position: 0 }, everything, 100_000) as Found)
  // Names of services that went before are known to who was there.
  const places = (texts: ReadonlyArray<string>) =>
    texts.map((text) => (JSON.parse(text) as HistoryRecord).Sequence)
  expect(places(of(journal))).toEqual(places(of(whole)))
})

test("an object is found by its id, the beginning of it or its last name, also when it is gone", () => {
  const { journal, machine } = lived(11, 800)
  const gone = journal
    .all()
    .map(recordOf)
    .filter(({ Kind, ID }) => Kind === "service" && machine.tables.get("service", ID) === undefined)
  expect(gone.length).toBeGreaterThan(3)
  for (const { ID, Name } of gone) {
    expect(journal.find(ID, "service").map(({ id }) => id)).toEqual([ID])
    expect(journal.find(Name, "service").map(({ id }) => id)).toContain(ID)
  }
  expect(journal.find("nobody-ever")).toEqual([])
})

test("events that are made of the history are those that were made when it happened", () => {
  for (const seed of [1, 2, 3, 4]) {
    const { journal, sets } = lived(seed, 800)
    const told = sets.flatMap((set) =>
      translate({
        ...set,
        changes: set.changes.filter(
          ({ before, after }) => before === undefined || before.Version.Index !== after?.Version.Index
        )
      })
    )
    expect(told.length).toBeGreaterThan(100)
    expect(eventsOf(journal)).toEqual(told)
  }
})

test("a manager that begins to lead, or stops being one, is told of as it was when it happened", () => {
  const book = new Book().cluster().node("n1")
  book.changes()
  const journal = new Journal(book.tables.index)
  const status = (Leader?: boolean) => ({
    Reachability: "reachable" as const,
    Addr: "10.0.0.1:2377",
    ...(Leader !== undefined && { Leader })
  })
  const told = [status(), status(true), status(), undefined].flatMap((ManagerStatus) => {
    const node = book.tables.get("node", "n1")
    if (node === undefined) throw new Error("there is no node")
    const { ManagerStatus: _before, ...rest } = node
    const index = ++book.tables.index
    book.tables.put("node", { ...rest, Version: { Index: index }, ...(ManagerStatus && { ManagerStatus }) })
    const set = book.changes()
    journal.take(set, book.tables)
    return translate(set)
  })
  expect(told.map(({ Actor }) => Actor.Attributes["leader.new"])).toEqual([
    "false",
    "true",
    "false",
    undefined
  ])
  expect(eventsOf(journal)).toEqual(told)
})
