/**
 * Which process is meant, so that a number that the kernel gave away again is never taken for it.
 *
 * A pid alone is not a name: it is one together with the time the process started, as the kernel tells it.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import process from "node:process"

export interface ProcessIdentity {
  readonly pid: number
  /** Opaque; equal for the same process and different for any other. */
  readonly startTime: string
}

const hasProc = existsSync("/proc/self/stat")
const bootId = hasProc ? readIfThere("/proc/sys/kernel/random/boot_id").trim().slice(0, 8) : ""

/** The identity of a living process; `undefined` when it is gone, or has ended and waits for its parent. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  if (!Number.isInteger(pid) || pid <= 1) return undefined
  const startTime = hasProc ? startInProc(pid) : startByPs(pid)
  return startTime === undefined ? undefined : { pid, startTime }
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

/** Field 22 of /proc/<pid>/stat, ticks since boot; the name in field 2 may hold blanks and parentheses. */
function startInProc(pid: number): string | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const [state, ticks] = [fields[0], fields[19]]
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

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}
