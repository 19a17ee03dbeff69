/** Writes a flight recording beside others: synchronously, because a process that dies has no time to wait. */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"

export interface Written {
  readonly path: string
  readonly bytes: number
}

/** Recordings that are kept; older ones go. */
const kept = 8
const namePattern = /^\d{4}-.*\.recording\.jsonl$/

/** Writes `lines` to a new file below `folder`, readable by its owner only. `at` is the time now. Throws on I/O errors. */
export function writeRecording(folder: string, at: number, lines: Iterable<string>): Written {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const older = readdirSync(folder)
    .filter((name) => namePattern.test(name))
    .sort()
  for (const name of older.slice(0, Math.max(0, older.length - kept + 1)))
    rmSync(join(folder, name), { force: true })
  const path = join(folder, `${new Date(at).toISOString().replaceAll(":", "-")}.recording.jsonl`)
  const file = openSync(path, "w", 0o600)
  let bytes = 0
  try {
    for (const line of lines) bytes += writeSync(file, `${line}\n`)
  } finally {
    closeSync(file)
  }
  return { path, bytes }
}
