/** Files that are whole or not there at all, and readable by their owner only. */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { dirname } from "node:path"
import process from "node:process"

/** Makes a directory that only its owner enters, also when it was there with wider rights. */
export function privateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, 0o700)
}

/** Replaces `path` by rename, so that a reader meets the old text or the new one. Mode 0600. */
export function writePrivate(path: string, text: string): void {
  replace(path, `${path}.${process.pid}.tmp`, (temporary) => {
    writeFileSync(temporary, text, { mode: 0o600 })
    chmodSync(temporary, 0o600)
  })
}

/** Of a file for which there was no room nothing is left. */
function replace(path: string, temporary: string, write: (temporary: string) => void): void {
  try {
    write(temporary)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** As `writePrivate`, and durable when it returns: a power cut leaves the old text or the new one. */
export function writeDurably(path: string, text: string): void {
  replace(path, `${path}.new`, (temporary) => {
    const file = openSync(temporary, "w", 0o600)
    try {
      writeFileSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  })
  syncFolder(dirname(path))
}

/** Makes what was added to a folder, or renamed in it, durable. */
export function syncFolder(path: string): void {
  const folder = openSync(path, "r")
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** The text of a file, `undefined` when there is none. Other errors are thrown. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}
