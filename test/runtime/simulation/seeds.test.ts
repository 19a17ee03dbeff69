/** One seed, one run: in another process, under another JavaScript runtime, on another machine. */
import { expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { run } from "#test/runtime/simulation/mixture.ts"

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..")
const program = join(root, "test/runtime/simulation/print-hashes.ts")

/**
 * What these seeds came to when they were last looked at. When the runtime decides differently on purpose, this test
 * fails once and prints what is to be written there; when it fails on one machine only, that machine is the news.
 */
const known: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(dirname(program), "hashes.json"), "utf8")
)
const seeds = Object.keys(known)

const printed = (command: string, args: ReadonlyArray<string>): Promise<Readonly<Record<string, string>>> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, [...args, program, ...seeds], { cwd: root })
    let [out, problem] = ["", ""]
    child.stdout.on("data", (chunk) => {
      out += chunk
    })
    child.stderr.on("data", (chunk) => {
      problem += chunk
    })
    child.on("error", reject)
    child.on("close", (code) => {
      if (code !== 0) return reject(new Error(problem))
      resolve(
        Object.fromEntries(
          out
            .trim()
            .split("\n")
            .map((line) => line.split(" ") as [string, string])
        )
      )
    })
  })

test("a seed gives the trace that it gave on every other machine, under Bun and under Deno", async () => {
  const deno = join(root, "node_modules/.bin/deno")
  const [bun, again] = await Promise.all([
    printed(process.execPath, []),
    printed(deno, ["run", "--allow-all", "--quiet"])
  ])
  expect({ under: "bun", ...bun }).toEqual({ under: "bun", ...known })
  expect({ under: "deno", ...again }).toEqual({ under: "deno", ...known })
}, 120_000)

test("other seeds give other traces, and none is short", () => {
  const traces = [11, 12, 13, 14].map((seed) => run(seed).traceHash())
  expect(new Set(traces).size).toBe(4)
  for (const trace of traces) expect(Number(trace.split("-")[1])).toBeGreaterThan(300)
}, 120_000)
