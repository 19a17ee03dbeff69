/**
 * Runs the test suites one after the other and prints what each took; ends with `N passed, N failed`.
 *
 * `bun test/run.ts runtime integration` runs only the suites that these names begin.
 */
import { spawn } from "node:child_process"
import { readdirSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"

const root = dirname(fileURLToPath(import.meta.url))

/** Cheap suites first: what is wrong shows early. Folders that are not named here come after these. */
const order = [".", "runtime", "actors", "cli", "contract", "conformance", "simulation", "integration"]

interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

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
    let tail = ""
    const pass = (chunk: Buffer, to: NodeJS.WriteStream) => {
      to.write(chunk)
      tail = (tail + chunk.toString()).slice(-4000)
    }
    child.stdout.on("data", (chunk) => pass(chunk, process.stdout))
    child.stderr.on("data", (chunk) => pass(chunk, process.stderr))
    child.on("close", (code) => {
      const count = (word: string) =>
        Number([...tail.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1)?.[1] ?? 0)
      const outcome = { passed: count("pass"), failed: count("fail"), skipped: count("skip") }
      // A run that died without counting anything as failed has failed all the same.
      resolve(code !== 0 && outcome.failed === 0 ? { ...outcome, failed: 1 } : outcome)
    })
  })
}

const wanted = process.argv.slice(2)
const total = { passed: 0, failed: 0, skipped: 0 }
const lines: Array<string> = []
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
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const counts = `${outcome.passed} passed, ${outcome.failed} failed`
  lines.push(`${(name === "." ? "map" : name).padEnd(14)}${seconds.padStart(8)} s   ${counts}`)
}
console.log(`\n${lines.join("\n")}`)
console.log(`${"all".padEnd(14)}${((performance.now() - began) / 1000).toFixed(1).padStart(8)} s\n`)
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ""
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`)
process.exit(total.failed > 0 ? 1 : 0)
