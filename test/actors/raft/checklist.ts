/**
 * What a Raft implementation owes its users, item by item, and the tests that prove it: `bun test/actors/raft/checklist.ts`
 * writes CHECKLIST.md. A test proves an item when its title begins with the item's code; a mutant is what shows that
 * the test can fail.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { parseMutant } from "#test/mutation/mutant.ts"

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(dirname(dirname(here)))
const file = join(here, "CHECKLIST.md")

const items = readFileSync(join(here, "checklist.txt"), "utf8")
  .trim()
  .split("\n")
  .map((line) => {
    const [code = "", ...words] = line.split(" ")
    return { code, says: words.join(" ") }
  })

/** The codes with which a title begins, `A1 A2, C3: what it says`. */
function codesOf(title: string): ReadonlyArray<string> {
  const codes: Array<string> = []
  for (const word of title.split(/[\s,]+/)) {
    const code = /^([A-MS]\d{1,2}):?$/.exec(word)?.[1]
    if (code === undefined) break
    codes.push(code)
    if (word.endsWith(":")) break
  }
  return codes
}

interface Proof {
  readonly file: string
  readonly title: string
}

// Elsewhere, the same letters name other lists.
const places = ["actors/raft", "actors/ledger", "simulation", "runtime/ownership"]

function proofs(): ReadonlyMap<string, ReadonlyArray<Proof>> {
  const found = new Map<string, Array<Proof>>()
  const add = (path: string, title: string): void => {
    for (const code of codesOf(title)) {
      const list = found.get(code) ?? []
      list.push({ file: relative(root, path), title })
      found.set(code, list)
    }
  }
  for (const place of places) {
    let names: ReadonlyArray<string>
    try {
      names = readdirSync(join(root, "test", place), { recursive: true, encoding: "utf8" })
    } catch {
      continue
    }
    for (const name of [...names].sort()) {
      const path = join(root, "test", place, name)
      if (name.endsWith(".test.ts")) {
        const text = readFileSync(path, "utf8")
        for (const [, title] of text.matchAll(/\b(?:test|describe)\(\s*["'`]([^"'`]+)/g))
          add(path, title ?? "")
      } else if (/scripts\/[^/]+\.txt$/.test(name)) {
        add(path, readFileSync(path, "utf8").split("\n", 1)[0]?.replace(/^# /, "") ?? "")
      }
    }
  }
  return found
}

const found = proofs()
const open = items.filter(({ code }) => !found.has(code))
const mutants = readdirSync(join(root, "test/mutation"))
  .filter((name) => name.endsWith(".mutant"))
  .map((name) =>
    parseMutant(name.replace(/\.mutant$/, ""), readFileSync(join(root, "test/mutation", name), "utf8"))
  )
  .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))

const text = [
  "# What is proven of Raft, and what is not",
  "",
  "Written by `bun test/actors/raft/checklist.ts` from the titles of tests; not by hand.",
  "",
  `${items.length - open.length} of ${items.length} items have a test; ${mutants.length} mutants show that tests can fail.`,
  "",
  "## Open: no test says so by name",
  "",
  ...open.map(({ code, says }) => `- **${code}** ${says}`),
  "",
  "## Proven",
  "",
  ...items
    .filter(({ code }) => found.has(code))
    .map(({ code, says }) => {
      const files = new Set((found.get(code) ?? []).map((proof) => `\`${proof.file}\``))
      return `- **${code}** ${says}: ${[...files].join(", ")}`
    }),
  "",
  "## Mutants",
  "",
  ...mutants.map(
    ({ name, says, test, fails }) =>
      `- **${name}** ${says}: \`${test}\`${fails === undefined ? "" : ` (${fails})`}`
  ),
  ""
].join("\n")

if (process.argv.includes("--check")) process.exit(readFileSync(file, "utf8") === text ? 0 : 1)
writeFileSync(file, text)
console.log(
  `${items.length - open.length} of ${items.length} items; open: ${open.map(({ code }) => code).join(" ")}`
)
