/** Processor time of other processes, where the system tells it (Linux). */
import { readdirSync, readFileSync } from "node:fs"

/** Milliseconds so far of all threads of `pid` that still live; by the threads' names. */
export function processorOf(pid: number): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const place = `/proc/${pid}/task/${thread}`
      const name = readFileSync(`${place}/comm`, "utf8").trim()
      const [nanoseconds = "0"] = readFileSync(`${place}/schedstat`, "utf8").split(" ")
      found.set(name, (found.get(name) ?? 0) + Number(nanoseconds) / 1e6)
    }
  } catch {
    // No such system, or a thread that has just ended.
  }
  return found
}

/** How much more there is now than `before`, by threads' names, the largest first. */
export function since(
  before: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>
): ReadonlyArray<readonly [string, number]> {
  return [...now]
    .map(([name, ms]) => [name, ms - (before.get(name) ?? 0)] as const)
    .filter(([, ms]) => ms > 0)
    .sort(([, a], [, b]) => b - a)
}

export const totalOf = (threads: ReadonlyArray<readonly [string, number]>): number =>
  threads.reduce((sum, [, ms]) => sum + ms, 0)
