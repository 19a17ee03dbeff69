/**
 * Runs the test suites one after the other and prints what failed and what each took; ends with `N passed, N failed`.
 *
 * `bun test/run.ts runtime integration` runs only the suites that these names begin.
 */
import { spawn } from "node:child_process"
import { readdirSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { removeLeftBehind } from "#test/support/cluster.ts"

const root = dirname(fileURLToPath(import.meta.url))

/** Cheap suites first: what is wrong shows early. Folders that are not named here come after these. */
const order = [
  ".",
  "runtime",
  "actors",
  "cli",
  "contract",
  "conformance",
  "simulation",
  "integration",
  "browser"
]

interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** What was printed of each test that failed, its name last. */
  readonly failures: ReadonlyArray<string>
}

/** Lines of a failure that are said again at the end: what is wrong stands in the last ones. */
const repeated = 60

function testFiles(folder: string): ReadonlyArray<string> {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** Suite name to its files: the folder right below `test/`. */
function suites(): ReadonlyMap<string, ReadonlyArray<string>> {
  const found = new Map<string, Array<string>>()
  for (const name of order) found.set(name, [])
  for (const file of testFiles(root)) {
    const parts = relative(root, file).split("/")
    const name = parts.length === 1 ? "." : (parts[0] ?? ".")
    const files = found.get(name)
    if (files === undefined) found.set(name, [file])
    else files.push(file)
  }
  return found
}

/** Engines and servers that tests start lie where root's PATH leads, which this shell's may not. */
const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin` }

/** Runs one suite, its output passed on, and reads bun's closing counts. */
function run(files: ReadonlyArray<string>): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["test", "--timeout", "120000", ...files], {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: dirname(root),
      env
    })
    const printed: Array<string> = []
    child.stdout.on("data", (chunk: Buffer) => void process.stdout.write(chunk))
    child.stderr.on("data", (chunk: Buffer) => void process.stderr.write(chunk))
    // Bun says how tests went on its standard error.
    child.stderr.on("data", (chunk: Buffer) => void printed.push(chunk.toString()))
    child.on("close", (code) => {
      const text = printed.join("")
      const count = (word: string) =>
        Number([...text.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1)?.[1] ?? 0)
      const outcome = {
        passed: count("pass"),
        failed: count("fail"),
        skipped: count("skip"),
        failures: failuresIn(text)
      }
      // A run that died without counting anything as failed has failed all the same.
      resolve(code !== 0 && outcome.failed === 0 ? { ...outcome, failed: 1 } : outcome)
    })
  })
}

/** Bun prints what went wrong before the line that names the test, and names all of them again when it ends. */
function failuresIn(text: string): ReadonlyArray<string> {
  const failures = new Map<string, string>()
  let lines: Array<string> = []
  for (const line of text.split("\n")) {
    if (/^\((pass|skip|todo)\) /.test(line)) lines = []
    else lines.push(line)
    if (!line.startsWith("(fail) ")) continue
    const name = line.replace(/ \[[\d.]+m?s\]$/, "")
    if (!failures.has(name)) failures.set(name, lines.slice(-repeated).join("\n"))
    lines = []
  }
  return [...failures.values()]
}

await removeLeftBehind()
const wanted = process.argv.slice(2)
const total = { passed: 0, failed: 0, skipped: 0 }
const lines: Array<string> = []
const failures: Array<string> = []
const began = performance.now()
for (const [name, files] of suites()) {
  if (files.length === 0) continue
  if (wanted.length > 0 && !wanted.some((prefix) => name.startsWith(prefix))) continue
  const start = performance.now()
  console.log(`\n=== ${name === "." ? "map" : name}`)
  const outcome = await run(files)
  total.passed += outcome.passed
  total.failed += outcome.failed
  total.skipped += outcome.skipped
  failures.push(...outcome.failures)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const counts = `${outcome.passed} passed, ${outcome.failed} failed`
  lines.push(`${(name === "." ? "map" : name).padEnd(14)}${seconds.padStart(8)} s   ${counts}`)
}
for (const failure of failures) console.log(`\n=== failed\n${failure.trim()}`)
console.log(`\n${lines.join("\n")}`)
console.log(`${"all".padEnd(14)}${((performance.now() - began) / 1000).toFixed(1).padStart(8)} s\n`)
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ""
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`)
process.exit(total.failed > 0 ? 1 : 0)
