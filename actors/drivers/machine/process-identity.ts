/**
 * Which process is meant, so that a number that the kernel gave away again is never taken for it.
 *
 * A pid alone is not a name: it is one together with the time the process started, as the kernel tells it.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import process from "node:process"

export interface ProcessIdentity {
  readonly pid: number
  /** Equal for the same process and different for any other; on Linux the clock tick of its start, and the boot. */
  readonly startTime: string
}

const hasProc = existsSync("/proc/self/stat")
const bootId = hasProc ? textOf("/proc/sys/kernel/random/boot_id").trim().slice(0, 8) : ""

/** The identity of a living process; `undefined` when it is gone, or has ended and waits for its parent. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  if (!Number.isInteger(pid) || pid <= 1) return undefined
  const startTime = hasProc ? startInProc(pid) : startByPs(pid)
  return startTime === undefined ? undefined : { pid, startTime }
}

/** What every process was started with, as /proc tells; none where there is no /proc, and none of one that may not be read. */
export function* commandLines(): Generator<{ readonly pid: number; readonly words: ReadonlyArray<string> }> {
  for (const name of hasProc ? readdirSync("/proc") : []) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    let line: string
    try {
      line = readFileSync(`/proc/${pid}/cmdline`, "utf8")
    } catch {
      // It ended while it was read, or it is somebody else's.
      continue
    }
    yield { pid, words: line.split("\0") }
  }
}

export const isAlive = (identity: ProcessIdentity): boolean =>
  identityOf(identity.pid)?.startTime === identity.startTime

/** Sends `signal` to exactly this process. False when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  return isAlive(identity) && kill(identity.pid, signal)
}

/** Sends `signal` to the process group that this process leads. False when it is gone. */
export function signalGroup(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  return isAlive(identity) && kill(-identity.pid, signal)
}

function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

/** Fields of `/proc/<pid>/stat` after the name, which may contain anything; the first is field 3, the state. */
export function statFields(pid: number): ReadonlyArray<string> | undefined {
  const stat = textOf(`/proc/${pid}/stat`)
  return stat === "" ? undefined : stat.slice(stat.lastIndexOf(")") + 2).split(" ")
}

// proc(5): field 22 is the start time in clock ticks since boot.
function startInProc(pid: number): string | undefined {
  const fields = statFields(pid)
  const [state, ticks] = [fields?.[3 - 3], fields?.[22 - 3]]
  if (ticks === undefined || state === "Z" || state === "X") return undefined
  return `${ticks}@${bootId}`
}

function startByPs(pid: number): string | undefined {
  try {
    const line = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    })
    return line.trim() === "" ? undefined : line.trim().replaceAll(/\s+/g, "_")
  } catch {
    return undefined
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}
