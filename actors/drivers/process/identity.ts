/** Which process a pid means: pids are used again, so a pid counts only together with when its process began. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import process from "node:process"

export interface ProcessIdentity {
  readonly pid: number
  /** Comparable, not readable: on Linux the boot and the clock tick of its start. */
  readonly start: string
}

/** Who has this pid now; `undefined` when nobody does, or only a dead process that was not collected yet. */
export function identify(pid: number): ProcessIdentity | undefined {
  const start = process.platform === "linux" ? startOnLinux(pid) : startElsewhere(pid)
  return start === undefined ? undefined : { pid, start }
}

/** Whether that very process still runs. */
export const isAlive = ({ pid, start }: ProcessIdentity): boolean => identify(pid)?.start === start

/** Sends a signal to the process, or with `group` to all it started; false when it is over. */
export function signal(target: ProcessIdentity, name: NodeJS.Signals, group = false): boolean {
  if (!isAlive(target)) return false
  try {
    process.kill(group ? -target.pid : target.pid, name)
    return true
  } catch {
    return false
  }
}

/** Fields of `/proc/<pid>/stat` after the name, which may contain anything; the first is field 3, the state. */
export function statFields(pid: number): ReadonlyArray<string> | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1")
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined
  }
}

let boot: string | undefined

function startOnLinux(pid: number): string | undefined {
  const fields = statFields(pid)
  if (fields === undefined || fields[0] === "Z" || fields[0] === "X") return undefined
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()
  // proc(5): field 22 is the start time in clock ticks since boot.
  return `${boot}/${fields[22 - 3]}`
}

function startElsewhere(pid: number): string | undefined {
  try {
    return (
      execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "latin1" }).trim() || undefined
    )
  } catch {
    return undefined
  }
}
