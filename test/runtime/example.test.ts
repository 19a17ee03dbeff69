/** The README's example does what the README says, under both runtimes. */
import { expect, test } from "bun:test"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = join(dirname(fileURLToPath(import.meta.url)), "../..")
const run = promisify(execFile)
const readme = readFileSync(join(root, "runtime/README.md"), "utf8")

test("the example prints what the README shows, under Bun and under Deno", async () => {
  const shown = /bun runtime\/example\.ts\n```\n\n```text\n([\s\S]*?)```/.exec(readme)?.[1]
  expect(shown).toContain("The guard says")
  const outputs = await Promise.all([
    run(process.execPath, ["runtime/example.ts"], { cwd: root }),
    run(join(root, "node_modules/.bin/deno"), ["run", "-A", "--quiet", "runtime/example.ts"], { cwd: root })
  ])
  for (const { stdout } of outputs) expect(stdout).toBe(shown ?? "")
}, 120_000)
