/** Processes that the lab starts and ends, always by id. */
import { spawn, spawnSync } from "node:child_process"
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"

export class LabError extends Error {}

export function sh(command: string, ...args: ReadonlyArray<string>): string {
  const run = spawnSync(command, args, { encoding: "utf8" })
  if (run.status !== 0)
    throw new LabError(`${command} ${args.join(" ")}: ${run.error?.message ?? run.stderr.trim()}`)
  return run.stdout
}

/** The same where failing means that it was so already. */
export const quietly = (command: string, ...args: ReadonlyArray<string>): boolean =>
  spawnSync(command, args, { encoding: "utf8" }).status === 0

/** One letter, as `ps` shows it: `T` is frozen, `Z` is over but not yet collected; `undefined` where there is none. */
function stateOf(pid: number): string | undefined {
  if (pid <= 0) return undefined
  try {
    return /\) (\S) /.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]
  } catch {
    return undefined
  }
}

export const isAlive = (pid: number): boolean => !["Z", undefined].includes(stateOf(pid))
export const isFrozen = (pid: number): boolean => stateOf(pid) === "T"

/** Says nothing where there is no such process (any more). */
export function signal(pid: number, name: NodeJS.Signals): void {
  if (!isAlive(pid)) return
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

/** Processes below this control group. */
export function pidsInGroup(group: string): ReadonlyArray<number> {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger)
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`:${group}/`)
    } catch {
      return false
    }
  })
}

export async function until(
  what: string,
  seconds: number,
  holds: () => boolean | Promise<boolean>
): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await holds()); await pause(50)) {
    if (Date.now() > end) throw new LabError(`${what} did not come about within ${seconds} s`)
  }
}

/** Starts a program that goes on when this one ends; its id. */
export function background(
  logFile: string,
  cwd: string,
  command: string,
  args: ReadonlyArray<string>
): number {
  const log = openSync(logFile, "a")
  const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log], cwd })
  closeSync(log)
  child.on("error", () => {})
  child.unref()
  if (child.pid === undefined) throw new LabError(`${command} could not be started`)
  return child.pid
}

/** Waits for a program that was started here; one that ends instead is an error with its last words. */
export const untilReady = (
  what: string,
  seconds: number,
  pid: number,
  logFile: string,
  holds: () => boolean | Promise<boolean>
): Promise<void> => {
  const lastWords = (): string => readFileSync(logFile, "utf8").slice(-2_000)
  return until(what, seconds, async () => {
    if (!isAlive(pid)) throw new LabError(`${what} ended by itself:\n${lastWords()}`)
    return holds()
  }).catch((error: Error) => {
    throw error.message.includes("\n") ? error : new LabError(`${error.message}:\n${lastWords()}`)
  })
}

/** Ends a process by id, with TERM and, where that is not enough, KILL. */
export async function end(pid: number, seconds: number): Promise<void> {
  if (!isAlive(pid)) return
  process.kill(pid, "SIGTERM")
  await until(`the end of process ${pid}`, seconds, () => !isAlive(pid)).catch(() => signal(pid, "SIGKILL"))
}
