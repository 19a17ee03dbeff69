/**
 * The program that stands between the node and one task's process: starts it, keeps its output, and writes down how
 * it ended. It belongs to no node: when the node is killed it goes on, and the next one finds what it wrote.
 *
 * Called with the folder of all tasks and the task's id; the command comes on standard input, because it may hold
 * what no process list should show. Says one line of JSON on standard output: `{}` when the process runs, `{"error"}`
 * when it does not. Uses only what is in the runtime itself, so that it is small and up in milliseconds.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { accessSync, constants, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { constants as machine } from "node:os"
import { isAbsolute, join } from "node:path"
import process from "node:process"
import { identityOf } from "#actors/drivers/machine/process-identity.ts"
import { LogWriter } from "#actors/drivers/process/log-file.ts"
import {
  type Command,
  type ProcessRecord,
  processPath,
  reserveEnd,
  shimPath,
  taskFolder,
  writeEnd,
  writeRecord
} from "#actors/drivers/process/records.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** Whoever left the group and still holds the output may keep it for this long after the task's end. */
const lastWordsMs = 500

function main(root: string, id: string): void {
  // A stop of the node's whole group reaches us too; the task hears of its own from the node.
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(name, () => {})
  const command = JSON.parse(readFileSync(0, "utf8")) as Command
  try {
    writeFileSync(shimPath(root, id), JSON.stringify(identityOf(process.pid)), { flag: "wx", mode: 0o600 })
    reserveEnd(root, id)
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === "EEXIST"
    if (!isTaken) rmSync(shimPath(root, id), { force: true })
    say({ error: isTaken ? "another shim has it already" : wordsOf(error) })
    return
  }

  const problem = findProblem(command)
  if (problem !== undefined) {
    fail(root, id, problem.exitCode, problem.error)
    return
  }
  const log = command.log === "none" ? undefined : new LogWriter(taskFolder(root, id), command.log)
  const child = spawn(resolve(command) ?? "", command.words.slice(1), {
    cwd: command.directory,
    env: command.environment,
    // A session of its own: its group is what is killed, and no terminal of ours reaches it.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    ...(command.uid === undefined ? {} : { uid: command.uid }),
    ...(command.gid === undefined ? {} : { gid: command.gid })
  })
  child.once("error", (error) => fail(root, id, 126, `exec: "${command.words[0]}": ${error.message}`))
  if (child.pid === undefined) return
  const { pid } = child
  const startTime = identityOf(pid)?.startTime ?? ""
  const record: ProcessRecord = { pid, startTime, startedAt: new Date().toISOString() }
  try {
    writeRecord(processPath(root, id), record)
  } catch (error) {
    // Nobody would find it again.
    process.kill(-pid, "SIGKILL")
    fail(root, id, 126, wordsOf(error))
    process.exit(0)
  }
  say({})
  keepOutput(child, log)

  child.once("exit", (code, signal) => {
    const exitCode = code ?? 128 + (signal === null ? 0 : machine.signals[signal])
    const finishedAt = new Date().toISOString()
    // As with a container, what the process leaves behind ends with it.
    try {
      process.kill(-pid, "SIGKILL")
    } catch {
      // It left nothing.
    }
    let over = false
    const end = (): void => {
      if (over) return
      over = true
      log?.end()
      writeEnd(root, id, { exitCode, finishedAt, error: "" })
      process.exit(0)
    }
    child.once("close", end)
    setTimeout(end, lastWordsMs)
  })
}

function keepOutput(child: ChildProcess, log: LogWriter | undefined): void {
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.on("data", (chunk: Buffer) => {
      try {
        log?.write(stream, chunk)
      } catch {
        // Whatever the disk says costs lines, never the task.
      }
    })
  }
}

/** Exit codes as shells and the Engine have them: 127 not found, 126 not to be run. */
function findProblem(command: Command): { exitCode: number; error: string } | undefined {
  try {
    if (!statSync(command.directory).isDirectory()) throw new Error("not a directory")
  } catch {
    return { exitCode: 127, error: `WorkingDir: ${command.directory} is no directory of this machine` }
  }
  const [program = ""] = command.words
  const path = resolve(command)
  if (path === undefined) {
    return { exitCode: 127, error: `exec: "${program}": executable file not found in $PATH` }
  }
  try {
    if (statSync(path).isDirectory()) return { exitCode: 126, error: `exec: "${program}": is a directory` }
  } catch {
    return { exitCode: 127, error: `exec: "${program}": no such file or directory` }
  }
  return undefined
}

/** The program's path: as given when it has a slash, else the first in the task's own PATH. */
function resolve({ words, environment, directory }: Command): string | undefined {
  const [program = ""] = words
  if (program.includes("/")) return isAbsolute(program) ? program : join(directory, program)
  for (const folder of (environment.PATH ?? "").split(":")) {
    const path = join(folder, program)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch {
      // Not here.
    }
  }
  return undefined
}

function fail(root: string, id: string, exitCode: number, error: string): void {
  writeEnd(root, id, { exitCode, finishedAt: new Date().toISOString(), error })
  say({ error })
}

function say(word: { readonly error?: string }): void {
  try {
    writeFileSync(1, `${JSON.stringify(word)}\n`)
  } catch {
    // The node is gone; it is all on disk.
  }
}

const [root, id] = process.argv.slice(-2)
if (root !== undefined && id !== undefined) main(root, id)
