/**
 * What is on disk of each task, so that node and shim may each die at any moment and the other, or the next, goes on:
 *
 *     processes/<id>/task.json      what was asked for             written by the node at creation
 *     processes/<id>/shim.json      who watches it                 written once by the shim, which claims the task so
 *     processes/<id>/process.json   the process and its start      written by the shim
 *     processes/<id>/log, log.1     its output
 *     processes/<id>/end            room for the word of its end, which a full disk must not cost
 *     processes/ended/<id>          exit code and time             written by the shim, or for a shim that was killed
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { readIfThere, syncFolder, writeDurably } from "#actors/drivers/machine/files.ts"
import type { ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import type { LogLimits } from "#actors/drivers/process/log-file.ts"

/** What the shim has to run; everything is decided, nothing is looked up. */
export interface Command {
  /** Program and arguments. */
  readonly words: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  readonly directory: string
  /** Absent to run as the node does. */
  readonly uid?: number
  readonly gid?: number
  readonly log: LogLimits | "none"
}

export interface TaskRecord {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly command: Omit<Command, "uid" | "gid">
  /** As asked for, `name[:group]`; looked up when the task starts. */
  readonly user: string
  readonly stopSignal: NodeJS.Signals
  readonly graceMs?: number
  readonly createdAt: string
}

export interface ProcessRecord extends ProcessIdentity {
  readonly startedAt: string
}

export interface EndRecord {
  readonly exitCode: number
  readonly finishedAt: string
  /** Why it did not start, or was lost; else empty. */
  readonly error: string
}

export const taskFolder = (root: string, id: string): string => join(root, id)
export const endedFolder = (root: string): string => join(root, "ended")
export const taskPath = (root: string, id: string): string => join(root, id, "task.json")
export const shimPath = (root: string, id: string): string => join(root, id, "shim.json")
export const processPath = (root: string, id: string): string => join(root, id, "process.json")
export const endPath = (root: string, id: string): string => join(root, "ended", id)

/** The record at `path`; `undefined` when there is none. Throws when there is one that cannot be read. */
export function readRecord<T>(path: string): T | undefined {
  const text = readIfThere(path)
  try {
    return text === undefined ? undefined : (JSON.parse(text) as T)
  } catch (error) {
    throw new Error(`${path} is no record: ${(error as Error).message}`)
  }
}

const reservePath = (root: string, id: string): string => join(root, id, "end")
const reservedBytes = 4_096

/** Takes the room that `writeEnd` needs. */
export function reserveEnd(root: string, id: string): void {
  writeFileSync(reservePath(root, id), " ".repeat(reservedBytes), { mode: 0o600 })
}

/** In the room that was reserved, if some was. */
export function writeEnd(root: string, id: string, end: EndRecord): void {
  if (!existsSync(reservePath(root, id))) {
    writeRecord(endPath(root, id), end)
    return
  }
  const text = JSON.stringify(end).padEnd(reservedBytes)
  const file = openSync(reservePath(root, id), "r+")
  try {
    writeSync(file, text, 0)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(reservePath(root, id), endPath(root, id))
  syncFolder(endedFolder(root))
}

/** Writes a record whole or not at all, and not to be lost with the power. */
export const writeRecord = (path: string, record: unknown): void => writeDurably(path, JSON.stringify(record))
