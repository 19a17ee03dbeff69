/**
 * What a Raft implementation owes its users, item by item, and the tests that prove it: `bun test/actors/raft/checklist.ts`
 * writes CHECKLIST.md. A test proves an item when its title begins with the item's code; a mutant is what shows that
 * the test can fail. What no test of ours can show is argued in `argued.txt`, a line each, five at most: it counts apart.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { parseMutant } from "#test/mutation/mutant.ts"

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(dirname(dirname(here)))
const file = join(here, "CHECKLIST.md")

interface Item {
  readonly code: string
  readonly says: string
}

/** Lines of a code and a sentence. */
const linesOf = (name: string): ReadonlyArray<Item> =>
  readFileSync(join(here, name), "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [code = "", ...words] = line.split(" ")
      return { code, says: words.join(" ") }
    })

const items = linesOf("checklist.txt")
const argued = linesOf("argued.txt")
const mostArgued = 5

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
const places = [
  "actors/raft",
  "actors/ledger",
  "simulation",
  "mutation",
  "actors/gateway/outcomes.test.ts",
  "layering.test.ts",
  "cli/log.test.ts",
  "runtime/chunks.test.ts",
  "runtime/system.test.ts",
  "integration/raft-nats.test.ts"
]

function filesIn(place: string): ReadonlyArray<string> {
  const path = join(root, "test", place)
  if (!existsSync(path)) return []
  if (statSync(path).isFile()) return [path]
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => join(path, name))
}

function proofs(): ReadonlyMap<string, ReadonlyArray<Proof>> {
  const found = new Map<string, Array<Proof>>()
  const add = (path: string, title: string): void => {
    for (const code of codesOf(title)) {
      const list = found.get(code) ?? []
      list.push({ file: relative(root, path), title })
      found.set(code, list)
    }
  }
  for (const path of places.flatMap(filesIn)) {
    if (path.endsWith(".test.ts")) {
      const text = readFileSync(path, "utf8")
      for (const [, title] of text.matchAll(/\b(?:test|describe)\(\s*["'`]([^"'`]+)/g)) add(path, title ?? "")
    } else if (/scripts\/[^/]+\.txt$/.test(path)) {
      add(path, readFileSync(path, "utf8").split("\n", 1)[0]?.replace(/^# /, "") ?? "")
    }
  }
  return found
}

const found = proofs()
const isArgued = (code: string): boolean => argued.some((one) => one.code === code)
for (const { code } of argued) {
  if (!items.some((item) => item.code === code)) throw new Error(`${code} is argued, and is no item`)
  if (found.has(code)) throw new Error(`${code} is argued although a test proves it: take the argument out`)
}
if (argued.length > mostArgued) throw new Error(`${argued.length} items are argued: prove some of them`)
const proven = items.filter(({ code }) => found.has(code))
const open = items.filter(({ code }) => !found.has(code) && !isArgued(code))
const summary = `${proven.length} of ${items.length} items have a test, ${argued.length} are argued, ${open.length} are open`
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
  `${summary}; ${mutants.length} mutants show that tests can fail.`,
  "",
  ...(open.length === 0
    ? []
    : ["## Open: no test says so by name", "", ...open.map(({ code, says }) => `- **${code}** ${says}`), ""]),
  "## Argued: no test of ours can show it",
  "",
  ...items
    .filter(({ code }) => isArgued(code))
    .map(
      ({ code, says }) => `- **${code}** ${says}: _${argued.find((one) => one.code === code)?.says ?? ""}_`
    ),
  "",
  "## Proven",
  "",
  ...proven.map(({ code, says }) => {
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
console.log(`${summary}: ${open.map(({ code }) => code).join(" ")}`)
