/**
 * Runs the benchmarks one after the other, because two at once would measure each other.
 *
 *     bun test/bench/run.ts [name…]     only those whose names begin so
 */
import { spawn } from "node:child_process"
import { readdirSync } from "node:fs"
import { loadavg } from "node:os"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL(".", import.meta.url))
const wanted = process.argv.slice(2)
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".ts") && name !== "run.ts")
  .map((name) => name.replace(/\.ts$/, ""))
  .filter((name) => wanted.length === 0 || wanted.some((prefix) => name.startsWith(prefix)))
  .sort()

if (names.length === 0) {
  console.error(`No benchmark begins with ${wanted.join(" or ")}`)
  process.exit(2)
}

const run = (name: string): Promise<number | null> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [`${folder}${name}.ts`], { stdio: "inherit" })
    child.once("error", reject)
    child.once("exit", resolve)
  })

const failed: Array<string> = []
for (const name of names) {
  console.log(`\n=== ${name}, load ${loadavg()[0]?.toFixed(1)}`)
  const began = performance.now()
  if ((await run(name)) !== 0) failed.push(name)
  console.log(`${((performance.now() - began) / 1000).toFixed(1)} s`)
}
if (failed.length > 0) {
  console.error(`\nThese ended with an error: ${failed.join(", ")}`)
  process.exit(1)
}
