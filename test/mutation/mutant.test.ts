/** The form of mutants; that they die is `bun run mutants`. */
import { expect, test } from "bun:test"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { ledger } from "#test/mutation/ledger.ts"
import { mutate, parseMutant, quarterOf } from "#test/mutation/mutant.ts"

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(dirname(here))

test("every mutant's old text stands exactly once in the code", () => {
  const names = readdirSync(here).filter((name) => name.endsWith(".mutant"))
  expect(names.length).toBeGreaterThan(0)
  for (const name of names) {
    const contents = new Map<string, string>()
    for (const edit of parseMutant(name, readFileSync(join(here, name), "utf8")).edits) {
      const content = contents.get(edit.file) ?? readFileSync(join(root, edit.file), "utf8")
      const mutated = mutate(content, edit)
      expect(mutated).not.toBe(content)
      contents.set(edit.file, mutated)
    }
  }
})

test("S1: each of the forty defects that were to be noticed is here, and every named test file is there", () => {
  const names = readdirSync(here).filter((name) => name.endsWith(".mutant"))
  const numbers = new Set(names.map((name) => Number(/\d+/.exec(name)?.[0])))
  expect(Array.from({ length: 40 }, (_, i) => i + 1).filter((number) => !numbers.has(number))).toEqual([])
  for (const name of names) {
    const mutant = parseMutant(name, readFileSync(join(here, name), "utf8"))
    const [, , file] = /^bun (test )?(\S+)/.exec(mutant.test) ?? []
    expect({ name, test: mutant.test, isThere: existsSync(join(root, file ?? "")) }).toMatchObject({
      isThere: true
    })
  }
})

test("S4: every bug that was once found has a defect that brings it back, and a seed or a test that notices", () => {
  for (const [bug, mutant] of Object.entries(ledger)) {
    const path = join(here, `${mutant}.mutant`)
    expect({ bug, isThere: existsSync(path) }).toEqual({ bug, isThere: true })
  }
})

test("a quarter of the mutants is another one every day, and four days are all of them", () => {
  const names = ["m1", "m2", "m3", "m4", "m5", "m6"]
  const days = [20_000, 20_001, 20_002, 20_003].map((day) => quarterOf(names, day))
  expect(days.flat().sort()).toEqual(names)
  expect(Math.max(...days.map(({ length }) => length))).toBe(2)
  expect(quarterOf(names, 20_004)).toEqual(days[0] as Array<string>)
})

test("a mutant is fields, then edits of several lines", () => {
  const text =
    "says: worse\ntest: bun test x\nfails: C8\n\n--- a.ts\none\n  two\n+++\n===\n--- b.ts\nx\n+++\ny\nz\n===\n"
  expect(parseMutant("m1", text)).toEqual({
    name: "m1",
    says: "worse",
    test: "bun test x",
    fails: "C8",
    edits: [
      { file: "a.ts", before: "one\n  two", after: "" },
      { file: "b.ts", before: "x", after: "y\nz" }
    ]
  })
})

test("a mutant without an end, a test or an edit is refused, and so is old text that is gone or there twice", () => {
  expect(() => parseMutant("m1", "says: a\ntest: b\n--- a.ts\nx\n+++\ny\n")).toThrow("does not end with ===")
  expect(() => parseMutant("m1", "says: a\n--- a.ts\nx\n+++\ny\n===\n")).toThrow(
    "needs says, test and an edit"
  )
  expect(() => parseMutant("m1", "says: a\nwhat\n")).toThrow("what is 'what'")
  const edit = { file: "a.ts", before: "x", after: "y" }
  expect(mutate("a x b", edit)).toBe("a y b")
  expect(() => mutate("a b", edit)).toThrow("any more")
  expect(() => mutate("x x", edit)).toThrow("more than once")
})
