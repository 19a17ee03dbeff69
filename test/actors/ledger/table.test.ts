import { expect, test } from "bun:test"
import { HashSum, hashId, hashInto, showHash } from "#actors/ledger/hash.ts"
import { IdSets } from "#actors/ledger/index-sets.ts"
import { RowIndex } from "#actors/ledger/row-index.ts"
import { Table } from "#actors/ledger/table.ts"
import { Fresh } from "#runtime/ids.ts"

test("a table keeps insertion order through any changes, and frozen views never move", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const chance = Fresh.from(seed)
    const table = new Table<{ ID: string; n: number }>()
    const model = new Map<string, { ID: string; n: number }>()
    const views: Array<[Iterable<{ ID: string }>, string]> = []
    // Now and then more goes than comes, so that gaps are closed while others are made.
    for (let step = 0; step < 9000; step++) {
      const id = `x${chance.below(5000)}`
      if (chance.below(10) < (Math.floor(step / 3000) === 1 ? 9 : 3)) {
        const victim = chance.below(2) === 0 ? id : (model.keys().next().value ?? id)
        table.delete(victim)
        model.delete(victim)
      } else {
        const object = { ID: id, n: step }
        table.put(object)
        model.set(id, object)
      }
      if (chance.below(1000) === 0) views.push([table.freeze(), JSON.stringify([...model.values()])])
    }
    expect(table.size).toBe(model.size)
    expect(JSON.stringify([...table.values()])).toBe(JSON.stringify([...model.values()]))
    for (const [view, text] of views) expect(JSON.stringify([...view])).toBe(text)
    for (let at = 0; at < 5000; at++) expect(table.get(`x${at}`)).toBe(model.get(`x${at}`) as never)
    const sum = new HashSum()
    for (const object of model.values()) sum.add(hashInto({ a: 0, b: 0 }, object))
    expect(showHash(table.hash)).toBe(showHash(sum))
  }
}, 60_000)

test("a table that was nearly emptied takes no more pages than it needs", () => {
  const table = new Table<{ ID: string }>()
  for (let at = 0; at < 50_000; at++) table.put({ ID: `x${at}` })
  for (let at = 0; at < 49_000; at++) table.delete(`x${at}`)
  expect(table.rows).toBeLessThan(10_000)
  expect([...table.values()].length).toBe(1000)
})

test("ids that share a hash are told apart, and found after any of them went", () => {
  // Every id in one of eight places, so that chains are long and wrap around.
  const clashing = Array.from({ length: 400_000 }, (_, at) => `c${at}`)
    .filter((id) => hashId(id) >>> 24 === 7 && (hashId(id) & 7) > 5)
    .slice(0, 300)
  expect(clashing.length).toBe(300)
  const chance = Fresh.from(3)
  const rows: Array<string> = []
  const index = new RowIndex<string>(hashId, (row, id) => rows[row] === id)
  const model = new Map<string, number>()
  for (let step = 0; step < 20_000; step++) {
    const id = clashing[chance.below(clashing.length)] as string
    if (model.has(id)) {
      index.delete(id, index.find(id))
      model.delete(id)
    } else {
      rows.push(id)
      index.add(id, rows.length - 1)
      model.set(id, rows.length - 1)
    }
    const other = clashing[chance.below(clashing.length)] as string
    expect(index.find(other)).toBe(model.get(other) ?? -1)
  }
  expect(index.size).toBe(model.size)
})

test("index sets hold one id or many, in the order they came, and forget what is empty", () => {
  const sets = new IdSets<string>()
  sets.add("k", "a")
  sets.add("k", "a")
  expect([...sets.of("k")]).toEqual(["a"])
  sets.add("k", "b")
  sets.delete("k", "zzz")
  expect([...sets.of("k")]).toEqual(["a", "b"])
  sets.delete("k", "a")
  sets.delete("k", "b")
  expect([sets.has("k"), sets.size, [...sets.of("k")]]).toEqual([false, 0, []])
})

test("a hash goes by what an object says, not by the order of its keys; absent and undefined are the same", () => {
  const hash = (value: unknown): string => showHash(hashInto({ a: 0, b: 0 }, value))
  expect(hash({ a: 1, b: { c: "x", d: [1, 2] } })).toBe(
    hash({ b: { d: [1, 2], c: "x" }, a: 1, e: undefined })
  )
  const different = [
    null,
    true,
    false,
    0,
    -0.5,
    1,
    2 ** 32,
    2 ** 32 + 1,
    -1,
    "",
    "0",
    "1",
    [],
    [[]],
    [0],
    {},
    { a: 1 },
    { a: "1" },
    { b: 1 },
    { a: { b: 1 } },
    { a: 1, b: 1 },
    ["a", 1],
    [1, "a"],
    "ab",
    "ba",
    { ab: "" },
    { a: "b" }
  ]
  expect(new Set(different.map(hash)).size).toBe(different.length)
  // The same on every runtime and machine, for ever: members compare these.
  expect(hash({ ID: "a", n: [1, 2.5, "ä"] })).toMatchInlineSnapshot(`"68a7ec8c396e14d5"`)
})
