/** What a task's processes use, from `/proc`: everything in the session that the task's process began. */
import { readdirSync, readFileSync } from "node:fs"
import { statFields } from "#actors/drivers/machine/process-identity.ts"

// sysconf(_SC_CLK_TCK) is 100 on every Linux that Bun and Deno run on.
const nanosPerTick = 10_000_000
const pageBytes = 4096

/** CPU time and resident memory of the session's living processes and of their ended children. */
export function sampleSession(session: number): { cpuNanos: number; memoryBytes: number } {
  let [ticks, memoryBytes] = [0, 0]
  for (const name of readdirSync("/proc")) {
    if (name < "0" || name > "9~") continue
    const fields = statFields(Number(name))
    // proc(5), counted from field 3: session is 6, utime 14, stime 15, cutime 16, cstime 17, rss 24.
    if (fields === undefined || Number(fields[6 - 3]) !== session) continue
    for (const field of [14, 15, 16, 17]) ticks += Number(fields[field - 3])
    memoryBytes += privateBytes(name) ?? Number(fields[24 - 3]) * pageBytes
  }
  return { cpuNanos: ticks * nanosPerTick, memoryBytes }
}

/** Each page counted once among those who share it; needs the right to look. */
function privateBytes(pid: string): number | undefined {
  try {
    const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    return undefined
  }
}
