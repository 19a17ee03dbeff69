/**
 * Which tests prove which of Swarm's behaviours, as a table: codes stand in titles of tests, words for them in `words.txt`.
 *
 * `bun test/scenarios/table.ts` writes `test/SCENARIOS.md`.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"

const folder = import.meta.dirname
const tests = join(folder, "..")
export const tablePath = join(tests, "SCENARIOS.md")

export interface Part {
  readonly title: string
  /** Code to a few words. */
  readonly codes: ReadonlyMap<string, string>
}

const codePattern = /\b(?:RO|GO|JB|UP|RS|CE|TR|SC|AL|DI|CA|RF|CT)-\d{2}\b/g
/** What begins a test or a group of them, up to its title. Of `test.each(…)(` the last bracket opens the title. */
const titlePattern = /\b(?:test|describe)\b[^"'`\n]*\(\s*(["'`])((?:\\.|(?!\1)[\s\S])*)\1/g

export function readParts(words: string): ReadonlyArray<Part> {
  const parts: Array<{ title: string; codes: Map<string, string> }> = []
  for (const line of words.split("\n").filter((one) => one !== "")) {
    const cut = line.indexOf(" ")
    if (line.startsWith("# ")) parts.push({ title: line.slice(2), codes: new Map() })
    else parts.at(-1)?.codes.set(line.slice(0, cut), line.slice(cut + 1))
  }
  return parts
}

/** Codes in the titles of one file of tests. */
export function codesIn(source: string): ReadonlySet<string> {
  const found = new Set<string>()
  for (const [, , title = ""] of source.matchAll(titlePattern)) {
    for (const [code] of title.matchAll(codePattern)) found.add(code)
  }
  return found
}

/** `sources` is the path of each file of tests, below `test/`, to what it says. Throws for a code without words. */
export function table(parts: ReadonlyArray<Part>, sources: ReadonlyMap<string, string>): string {
  const known = new Set(parts.flatMap(({ codes }) => [...codes.keys()]))
  const files = new Map<string, Array<string>>()
  for (const [path, source] of [...sources].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const code of codesIn(source)) {
      if (!known.has(code)) throw new Error(`${path}: ${code}: expected a code of test/scenarios/words.txt`)
      files.set(code, [...(files.get(code) ?? []), path])
    }
  }
  const lines = [
    "# Swarm's behaviours and what proves them",
    "",
    "Written by `bun test/scenarios/table.ts` from the titles of tests; `grep -rn CODE test` finds the test itself.",
    `${[...files.keys()].length} of ${known.size} have a test.`
  ]
  for (const { title, codes } of parts) {
    lines.push("", `## ${title}`, "")
    for (const [code, words] of codes) {
      const where = files.get(code)?.map((path) => `\`${path}\``)
      lines.push(`- ${code} ${words}: ${where?.join(", ") ?? "no test"}`)
    }
  }
  const missing = parts.flatMap(({ codes }) => [...codes].filter(([code]) => !files.has(code)))
  lines.push("", "## Without a test", "")
  if (missing.length === 0) lines.push("None.")
  for (const [code, words] of missing) lines.push(`- ${code} ${words}`)
  return `${lines.join("\n")}\n`
}

/** The table as it should be now. */
export function presentTable(): string {
  const sources = new Map(
    readdirSync(tests, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !path.startsWith(folder))
      .map((path) => [relative(tests, path), readFileSync(path, "utf8")])
  )
  return table(readParts(readFileSync(join(folder, "words.txt"), "utf8")), sources)
}

if (import.meta.main) writeFileSync(tablePath, presentTable())
