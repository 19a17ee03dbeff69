/**
 * Puts in one defect after another, in a copy of the tree, and expects the named tests to fail.
 *
 * `bun test/mutation/run.ts` runs all, `… m27 m30` these, `… --quarter 2` every fourth from the second on, `… --today`
 * the quarter of this day; `--minutes 10` begins no further one after so long, and says which were left. Ends with 1
 * when a mutant survives or its text is not in the code any more.
 */
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { type Mutant, mutate, parseMutant, quarterOf } from "#test/mutation/mutant.ts"

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(dirname(here))
// A defect that makes a test hang is noticed, too.
const timeoutMs = 15 * 60_000

const words = process.argv.slice(2)
const numberOf = (name: string): number => Number(words[words.indexOf(`--${name}`) + 1])
const until = words.includes("--minutes")
  ? Date.now() + numberOf("minutes") * 60_000
  : Number.POSITIVE_INFINITY

const orderOf = (name: string): number => Number(/\d+/.exec(name)?.[0])

const all: ReadonlyArray<Mutant> = readdirSync(here)
  .filter((name) => name.endsWith(".mutant"))
  .map((name) => parseMutant(name.replace(/\.mutant$/, ""), readFileSync(join(here, name), "utf8")))
  .sort((a, b) => orderOf(a.name) - orderOf(b.name) || (a.name < b.name ? -1 : 1))

function chosen(words: ReadonlyArray<string>): ReadonlyArray<Mutant> {
  const quarter = words.includes("--today")
    ? Math.floor(Date.now() / 86_400_000)
    : words.includes("--quarter")
      ? numberOf("quarter") - 1
      : undefined
  const names = words.filter((word) => /^m\d/.test(word))
  const unknown = names.filter(
    (name) => !all.some((one) => one.name === name || one.name.startsWith(`${name}-`))
  )
  if (unknown.length > 0) throw new Error(`No such mutant: ${unknown.join(", ")}`)
  const some = all.filter(
    ({ name }) => names.length === 0 || names.some((one) => name === one || name.startsWith(`${one}-`))
  )
  return quarter === undefined ? some : quarterOf(some, quarter)
}

/** The tree as it stands, without what git ignores. */
function copyTree(): string {
  const copy = mkdtempSync(`${tmpdir()}/troupe-mutants-`)
  const listed = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024
  })
  for (const path of listed.stdout.split("\0")) {
    if (path === "" || !existsSync(join(root, path))) continue
    mkdirSync(dirname(join(copy, path)), { recursive: true })
    copyFileSync(join(root, path), join(copy, path))
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
  return copy
}

interface Ran {
  readonly failed: boolean
  readonly output: string
  readonly seconds: number
}

function run(copy: string, command: string): Ran {
  const began = Date.now()
  const { status, stdout, stderr } = spawnSync("sh", ["-c", command], {
    cwd: copy,
    encoding: "utf8",
    timeout: timeoutMs,
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH ?? ""}` }
  })
  return { failed: status !== 0, output: `${stdout}${stderr}`, seconds: (Date.now() - began) / 1_000 }
}

const diedOf = ({ output }: Ran, fails: string | undefined): boolean =>
  fails === undefined || output.split("\n").some((line) => line.startsWith("(fail)") && line.includes(fails))

const mutants = chosen(words)
const copy = copyTree()
const sound = new Map<string, boolean>()
let bad = 0
let ranCount = 0
try {
  for (const mutant of mutants) {
    if (Date.now() >= until) break
    ranCount++
    // A test that fails anyway kills nothing.
    if (!sound.has(mutant.test)) sound.set(mutant.test, !run(copy, mutant.test).failed)
    const originals = new Map<string, string>()
    let verdict: string
    try {
      for (const edit of mutant.edits) {
        const path = join(copy, edit.file)
        const content = readFileSync(path, "utf8")
        if (!originals.has(path)) originals.set(path, content)
        writeFileSync(path, mutate(content, edit))
      }
      const ran = run(copy, mutant.test)
      const killed = sound.get(mutant.test) === true && ran.failed && diedOf(ran, mutant.fails)
      verdict = killed
        ? `killed     ${ran.seconds.toFixed(1)} s`
        : sound.get(mutant.test) !== true
          ? "UNPROVEN   its tests fail without it, too"
          : ran.failed
            ? "SURVIVED   its tests fail, but not the one it names"
            : "SURVIVED"
      if (!killed) bad++
    } catch (error) {
      verdict = `STALE      ${(error as Error).message}`
      bad++
    } finally {
      for (const [path, content] of originals) writeFileSync(path, content)
    }
    console.log(`${mutant.name.padEnd(16)}${verdict.padEnd(24)}${mutant.says}`)
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
const left = mutants.slice(ranCount).map(({ name }) => name)
console.log(
  `${ranCount - bad} of ${ranCount} killed${left.length > 0 ? `, not run for lack of time: ${left.join(" ")}` : ""}`
)
process.exitCode = bad === 0 ? 0 : 1
