/** One seed, one run: in another process, under another JavaScript runtime, on another machine. */
import { expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { run } from "#test/runtime/simulation/mixture.ts"

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..")
const program = join(root, "test/runtime/simulation/print-hashes.ts")

/**
 * What a chat came to on the machines that have run it so far. Fails everywhere when imitated time, network or lives
 * change on purpose; write down what it prints then. When it fails on one machine only, that machine is the news.
 */
const known = {
  "chat-1": "34ab3a9ccdd8108d-784",
  "chat-2": "9ce7b143538c2b0b-772",
  "chat-3": "cf24a4b102c36ac0-794"
}

const printed = (command: string, args: ReadonlyArray<string>): Promise<Readonly<Record<string, string>>> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, [...args, program, "1", "2", "3"], { cwd: root })
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

test("a seed gives one trace: in two processes, under Bun and under Deno, and on machines that ran it before", async () => {
  const [bun, again, deno] = await Promise.all([
    printed(process.execPath, []),
    printed(process.execPath, []),
    printed(join(root, "node_modules/.bin/deno"), ["run", "--allow-all", "--quiet"])
  ])
  expect(bun).toMatchObject(known)
  expect(again).toEqual(bun)
  expect(deno).toEqual(bun)
}, 120_000)

test("other seeds give other traces, and none is short", () => {
  const traces = [11, 12, 13, 14].map((seed) => run(seed).traceHash())
  expect(new Set(traces).size).toBe(4)
  for (const trace of traces) expect(Number(trace.split("-")[1])).toBeGreaterThan(300)
}, 120_000)
