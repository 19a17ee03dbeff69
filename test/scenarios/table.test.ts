/** The table of scenarios is what the titles of tests say. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { codesIn, presentTable, readParts, table, tablePath } from "#test/scenarios/table.ts"

const parts = readParts("# Lists\nCT-18 filters\nCT-19 counts\n")

test("a code counts where it stands in the title of a test, not in a comment or in what is compared", () => {
  const source = `// CT-01
test("CT-02 AL-03: two", () => expect("CT-04"))
test.each([1])(
  "names (CT-05)", () => {})
describe('CT-06', () => {})`
  expect([...codesIn(source)]).toEqual(["CT-02", "AL-03", "CT-05", "CT-06"])
})

test("each code has the files that prove it, and those without any stand again at the end", () => {
  const text = table(
    parts,
    new Map([
      ["b.test.ts", `test("CT-18: b", f)`],
      ["a.test.ts", `test("CT-18: a", f)`]
    ])
  )
  expect(text).toContain("1 of 2 have a test")
  expect(text).toContain("- CT-18 filters: `a.test.ts`, `b.test.ts`\n- CT-19 counts: no test\n")
  expect(text.split("## Without a test")[1]).toBe("\n\n- CT-19 counts\n")
})

test("a code that nobody knows is a mistake", () => {
  expect(() => table(parts, new Map([["a.test.ts", `test("CT-77: a", f)`]]))).toThrow("a.test.ts: CT-77")
})

test("test/SCENARIOS.md is up to date: if not, run `bun test/scenarios/table.ts`", () => {
  expect(readFileSync(tablePath, "utf8")).toBe(presentTable())
})
