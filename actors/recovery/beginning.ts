/**
 * Puts a cluster that is begun anew into a data directory, whole or not at all.
 *
 *     <data dir>/beginning/     what is to be there, under the names that it will have; `ready` comes last
 *
 * Everything is written and synced there first. From `ready` on it will be put in place, by whoever starts next if not
 * by us; without it, it never was. The log that was there is set aside, not deleted.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { syncFolder, writeDurably } from "#actors/drivers/machine/files.ts"
import { type Configuration, encodeConfiguration } from "#actors/raft/core/configuration.ts"
import { type Incarnation, termBefore } from "#actors/raft/incarnation.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import type { Owner } from "#actors/raft/storage/frame.ts"
import { defaultLimits, names, raftDirectory } from "#actors/raft/storage/layout.ts"
import { lockDirectory } from "#actors/raft/storage/lock.ts"
import { type Contents, writeLog } from "#actors/raft/storage/salvage-files.ts"
import { nextAside } from "#actors/raft/storage/set-aside.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"

const draftIn = (dataDir: string): string => join(dataDir, "beginning")
const ready = "ready"

export interface Beginning {
  readonly dataDir: string
  /** Whose the log is: the cluster, and this member's name in the group. */
  readonly owner: Owner
  readonly incarnation: Incarnation
  /** A group of this member alone. */
  readonly configuration: Configuration
  readonly contents: Contents
  /** Opens the log's data keys: that of the log before, or absent for a new one that is left in a file. */
  readonly wrapper?: Uint8Array
  /** What else is to be there, by path under the data directory: text that only the owner reads. */
  readonly files: Readonly<Record<string, string>>
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * Writes it and puts it in place. Throws `DirectoryInUse` where a node runs with this data directory, and `DiskError`.
 * When it throws, what was there before is there.
 */
export function begin(beginning: Beginning): void {
  const { dataDir, owner, incarnation, contents, wrapper, files, now } = beginning
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  withLock(dataDir, () => {
    const draft = draftIn(dataDir)
    rmSync(draft, { recursive: true, force: true })
    mkdirSync(draft, { mode: 0o700 })
    writeLog(
      {
        vfs: nodeVfs,
        cipher: nodeCipher,
        directory: draft,
        owner,
        limits: defaultLimits,
        nowMs: now,
        incarnation,
        config: encodeConfiguration(beginning.configuration),
        ...(wrapper !== undefined && { unlockKey: wrapper })
      },
      { ...contents, term: Math.max(contents.term, termBefore(incarnation) + 1) }
    )
    for (const [path, text] of Object.entries(files)) {
      const file = join(draft, path)
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      writeDurably(file, text)
      syncFolder(dirname(dirname(file)))
    }
    syncFolder(draft)
    writeDurably(join(draft, ready), "")
    syncFolder(dataDir)
    putInPlace(dataDir)
  })
}

/** Completes a beginning that was cut short, or takes back one that was not ready. Before anything else of a start. */
export function settleBeginning(dataDir: string): void {
  if (existsSync(draftIn(dataDir))) withLock(dataDir, () => putInPlace(dataDir))
}

function putInPlace(dataDir: string): void {
  const draft = draftIn(dataDir)
  if (existsSync(join(draft, ready))) {
    for (const name of readdirSync(draft)) {
      if (name === ready) continue
      if (name === "raft") replaceLog(dataDir, join(draft, name))
      else merge(join(draft, name), join(dataDir, name))
    }
    syncFolder(dataDir)
  }
  rmSync(draft, { recursive: true, force: true })
  syncFolder(dataDir)
}

function replaceLog(dataDir: string, log: string): void {
  const here = raftDirectory(dataDir)
  if (existsSync(join(here, names.identity))) {
    renameSync(here, join(dataDir, nextAside({ vfs: nodeVfs, cipher: nodeCipher, directory: dataDir })))
    syncFolder(dataDir)
  } else rmSync(here, { recursive: true, force: true })
  renameSync(log, here)
}

/** A file takes the place of another one; a folder's files do, each by itself. */
function merge(from: string, to: string): void {
  if (!statSync(from).isDirectory()) {
    renameSync(from, to)
    return
  }
  mkdirSync(to, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(from)) merge(join(from, name), join(to, name))
  syncFolder(to)
}

/** Nobody else works on the log meanwhile; where there is none yet, its folder is made for the lock's sake. */
function withLock(dataDir: string, work: () => void): void {
  nodeVfs.makeDirectory(raftDirectory(dataDir))
  const lock = lockDirectory(raftDirectory(dataDir))
  try {
    work()
  } finally {
    lock.release()
  }
}
