/**
 * Keeps a second process out of a data directory.
 *
 * node:fs has no file locks and a pid file lies after a crash, in containers and across pid namespaces. SQLite
 * takes the kernel's own lock on its file, on every runtime, and the kernel gives it back when the process ends
 * in any way. Whoever reads `LOCK` in this process and closes it again releases it: leave that file alone.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import process from "node:process"
import { DatabaseSync } from "node:sqlite"
import { names } from "#actors/raft/storage/layout.ts"
import { DiskError } from "#actors/raft/storage/vfs.ts"

/** Another process has the directory open. */
export class DirectoryInUse extends Error {
  override readonly name = "DirectoryInUse"
}

// A handle that nobody refers to is collected, and its lock with it.
const held = new Set<DatabaseSync>()

/** Takes the lock of a `raft` directory, or throws `DirectoryInUse` naming who has it. */
export function lockDirectory(directory: string): { readonly release: () => void } {
  const holder = `${directory}/${names.holder}`
  const database = openDatabase(`${directory}/${names.lock}`)
  try {
    database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
  } catch (error) {
    database.close()
    const { message } = error as Error
    if (!/locked|busy/i.test(message))
      throw new DiskError("lock", directory, /full/.test(message) ? "ENOSPC" : "EUNKNOWN", message)
    throw new DirectoryInUse(`Cannot open ${directory}: ${holderName(holder)} has it open`)
  }
  held.add(database)
  try {
    writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 })
  } catch {
    // A full disk costs others the name of who has it.
  }
  return {
    release: () => {
      if (!held.delete(database)) return
      rmSync(holder, { force: true })
      database.close()
    }
  }
}

const openDatabase = (path: string): DatabaseSync => {
  try {
    // Made by us for its mode; never opened when it is there, for closing it again would release it.
    if (!existsSync(path)) writeFileSync(path, "", { mode: 0o600 })
    return new DatabaseSync(path)
  } catch (error) {
    throw new DiskError("open", path, "EUNKNOWN", (error as Error).message)
  }
}

const holderName = (path: string): string => {
  try {
    return `process ${readFileSync(path, "utf8").trim()}`
  } catch {
    return "another process"
  }
}
